/** Announcements for screen readers: only changes that last. */

import { type FrameResult, nearest, percent } from "../sdk.js";
import { element, say } from "./elements.js";

const LASTS_MS = 1200;
const EVERY_MS = 3000;

/** Writes announcements to the page's live region. */
export class Speaker {
  private told = "";
  private pending = "";
  private pending_ms = 0;
  private spoke_ms = -Infinity;

  /** Announce a sentence immediately. */
  now(sentence: string): void {
    this.spoke_ms = performance.now();
    say("spoken", sentence);
  }

  /** Announce the reading of the nearest face after a change that lasts. */
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
