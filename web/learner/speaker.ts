/** What a screen reader is told: changes that last, not frames. */

import { type FrameResult, nearest, percent } from "../sdk.js";
import { element, say } from "./elements.js";

const LASTS_MS = 1200;
const EVERY_MS = 3000;

/** Speaks through the page's live region. */
export class Speaker {
  private told = "";
  private pending = "";
  private pending_ms = 0;
  private spoke_ms = -Infinity;

  /** Say something now. */
  now(sentence: string): void {
    this.spoke_ms = performance.now();
    say("spoken", sentence);
  }

  /** Say what the nearest face shows, once it has changed and lasted. */
  hear(result: FrameResult): void {
    if (!element<HTMLInputElement>("speak").checked) return;
    const face = nearest(result);
    const what = face === null ? "no face in view" : face.unread ? `face not read: ${face.unread}` : face.label;
    const now_ms = performance.now();
    if (what !== this.pending) {
      this.pending = what;
      this.pending_ms = now_ms;
    }
    if (what === this.told || now_ms - this.pending_ms < LASTS_MS || now_ms - this.spoke_ms < EVERY_MS) return;
    this.told = what;
    const sure = face === null || face.unread ? "" : `, ${percent(face.confidence)}${face.uncertain ? ", uncertain" : ""}`;
    this.now(`${what}${sure}`);
  }

  reset(): void {
    this.told = this.pending = "";
  }
}
