/** Transitions between expressions and durations of expressions. */

import { EMOTIONS, EPISODES } from "./constants.js";
import { type FrameResult, labelIndex } from "./records.js";

/** One face, one label, from `start_s` to `end_s`. */
export interface Episode {
  readonly track_id: string;
  readonly label: string;
  readonly start_s: number;
  readonly end_s: number;
}

interface Open {
  readonly episode: Episode;
  readonly t_s: number;
  readonly interval_s: number;
}

/** Number and durations of the episodes of an expression. */
export interface Dwell {
  readonly count: number;
  readonly mean_s: number;
  readonly longest_s: number;
}

/** Transitions and episodes over all faces. An episode continues over a short gap in the readings; a longer one ends it. */
export class Episodes {
  /** (7, 7) counts: from the row's label to the column's. */
  readonly transitions: number[][] = EMOTIONS.map(() => EMOTIONS.map(() => 0));
  private readonly open = new Map<string, Open>();
  private readonly closed: Episode[] = [];
  private readonly count = EMOTIONS.map(() => 0);
  private readonly seconds = EMOTIONS.map(() => 0);
  private readonly longest_s = EMOTIONS.map(() => 0);

  update(frame: FrameResult): void {
    for (const [name, last] of this.open) {
      // the shorter interval is the frame interval, since the other may include part of the gap
      if (frame.t_s - last.t_s - Math.min(last.interval_s, frame.interval_s) > EPISODES.longest_gap_s) {
        this.open.delete(name);
        this.close(last.episode);
      }
    }
    for (const face of frame.faces) {
      if (face.unread) continue;
      let episode: Episode = {
        track_id: face.track_id,
        label: face.label,
        start_s: frame.t_s,
        end_s: frame.t_s + frame.interval_s,
      };
      const before = this.open.get(face.track_id)?.episode;
      if (before?.label === face.label) {
        episode = { ...episode, start_s: before.start_s };
      } else if (before !== undefined) {
        const row = this.transitions[labelIndex(before.label)]!;
        row[labelIndex(face.label)] = row[labelIndex(face.label)]! + 1;
        this.close({ ...before, end_s: Math.min(before.end_s, frame.t_s) });
      }
      this.open.set(face.track_id, { episode, t_s: frame.t_s, interval_s: frame.interval_s });
    }
  }

  /** The latest and the ongoing episodes, sorted by start. */
  get episodes(): Episode[] {
    const all = [...this.closed, ...[...this.open.values()].map((last) => last.episode)];
    return all.sort((a, b) => a.start_s - b.start_s || (a.track_id < b.track_id ? -1 : a.track_id > b.track_id ? 1 : 0));
  }

  /** Dwell by label, without labels that were never shown. */
  get dwell(): Record<string, Dwell> {
    const found: Record<string, Dwell> = {};
    EMOTIONS.forEach((name, k) => {
      let count = this.count[k]!;
      let seconds = this.seconds[k]!;
      let longest_s = this.longest_s[k]!;
      for (const { episode } of this.open.values()) {
        if (episode.label !== name) continue;
        count++;
        seconds += episode.end_s - episode.start_s;
        longest_s = Math.max(longest_s, episode.end_s - episode.start_s);
      }
      if (count > 0) found[name] = { count, mean_s: seconds / count, longest_s };
    });
    return found;
  }

  private close(episode: Episode): void {
    const at = labelIndex(episode.label);
    this.closed.push(episode);
    if (this.closed.length > EPISODES.kept) this.closed.shift();
    this.count[at] = this.count[at]! + 1;
    this.seconds[at] = this.seconds[at]! + episode.end_s - episode.start_s;
    this.longest_s[at] = Math.max(this.longest_s[at]!, episode.end_s - episode.start_s);
  }
}
