/**
 * Optional alerts for the teacher when many learners send a signal. Faces never cause an alert.
 *
 * An alert is raised when the share of people exceeds a threshold by more than the noise explains. It is raised again only
 * after the share fell below a lower threshold, and at most a few times in a lesson.
 */

import type { TimelineBin } from "./api.js";

const RAISE = 0.1;
const AGAIN_BELOW = 0.05;
const MOST = 3;
/** Signals that cause alerts. */
const ASKING: readonly string[] = ["lost", "slower"];

export class Alerts {
  private readonly raised = new Set<string>();
  private count = 0;
  private last = -1;

  constructor(private readonly signals: readonly string[]) {}

  /** Process new bins; return an alert for the latest one, or "". */
  look(timeline: readonly TimelineBin[]): string {
    let said = "";
    for (const bin of timeline) {
      if (bin.number <= this.last) continue;
      this.last = bin.number;
      said = this.judge(bin);
    }
    return said;
  }

  private judge(bin: TimelineBin): string {
    const { people, signals, signal_error } = bin;
    if (people === null || signals === null || signal_error === null) return "";
    const names: string[] = [];
    this.signals.forEach((name, k) => {
      if (!ASKING.includes(name)) return;
      const value = signals[k]!;
      if (value / people < AGAIN_BELOW) this.raised.delete(name);
      else if (!this.raised.has(name) && (value - signal_error) / people >= RAISE && this.count < MOST) {
        this.raised.add(name);
        names.push(name);
      }
    });
    if (names.length === 0) return "";
    this.count++;
    return `Many learners said: ${names.join(", ")}.`;
  }
}
