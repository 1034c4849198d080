/** Temporal smoothing of predictions with label hysteresis, independent of the frame rate. */

import { EMOTIONS, SMOOTHER } from "./constants.js";
import { labelIndex } from "./records.js";

interface State {
  readonly t_s: number;
  readonly probabilities: readonly number[];
  readonly label: string;
}

/** Exponential smoothing per track. After `tau_s` seconds of a new expression, it makes up 63% of the smoothed value. */
export class Smoother {
  private states = new Map<string, State>();

  constructor(private readonly tau_s: number = SMOOTHER.tau_s) {}

  /** Return a track's smoothed probabilities and its label after this reading. */
  update(track_id: string, t_s: number, probabilities: readonly number[]): { smoothed: number[]; label: string } {
    let smoothed = [...probabilities];
    let label = EMOTIONS[argmax(smoothed)]!;
    const state = this.states.get(track_id);
    if (state !== undefined && t_s - state.t_s < SMOOTHER.forgotten * this.tau_s) {
      const keep = Math.exp(-Math.max(0, t_s - state.t_s) / this.tau_s);
      smoothed = smoothed.map((value, k) => keep * state.probabilities[k]! + (1 - keep) * value);
      const first = argmax(smoothed);
      // another class must lead by a margin to replace the current label (a Schmitt trigger, 1938)
      const leads = smoothed[first]! - smoothed[labelIndex(state.label)]! > SMOOTHER.lead;
      label = leads ? EMOTIONS[first]! : state.label;
    }
    this.states.set(track_id, { t_s, probabilities: smoothed, label });
    return { smoothed, label };
  }

  /** Drop the state of all other tracks. */
  forgetAllBut(track_ids: ReadonlySet<string>): void {
    for (const name of this.states.keys()) if (!track_ids.has(name)) this.states.delete(name);
  }
}

/** Return the index of the maximum; the first one on a tie. */
export function argmax(values: readonly number[]): number {
  let best = 0;
  for (let k = 1; k < values.length; k++) if (values[k]! > values[best]!) best = k;
  return best;
}
