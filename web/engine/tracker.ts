/** Face tracking within one session. Track names are random and do not identify a person. */

import { Appearance } from "./appearance.js";
import { assign } from "./assignment.js";
import { LONGEST_INTERVAL_S, TRACKER } from "./constants.js";
import { type Box, type Detection, type Picture, iou } from "./records.js";

const FORBIDDEN = 10;

class Track {
  private speed: readonly [number, number] | null = null;

  constructor(
    readonly track_id: string,
    private box: Box,
    public seen_s: number,
    private appearance: Appearance | null,
  ) {}

  /** Return the predicted box at `t_s` from the decaying velocity. */
  expected(t_s: number): Box {
    const [vx, vy] = this.speed ?? [0, 0];
    const way_s = TRACKER.coasting_s * (1 - Math.exp(-Math.max(0, t_s - this.seen_s) / TRACKER.coasting_s));
    return { x: this.box.x + vx * way_s, y: this.box.y + vy * way_s, w: this.box.w, h: this.box.h };
  }

  /** Return whether a face looks like this track's face; true if either appearance is unknown. */
  looksLike(look: Appearance | null, t_s: number, picture: Picture | null): boolean {
    if (this.appearance === null || look === null || picture === null) return true;
    const [highest, per_s, lowest] = TRACKER.likeness as [number, number, number];
    return this.appearance.likeness(look, picture) >= Math.max(lowest, highest - per_s * (t_s - this.seen_s));
  }

  saw(box: Box, t_s: number, look: Appearance | null): void {
    const passed_s = t_s - this.seen_s;
    if (passed_s > 0) {
      const vx = (box.x + box.w / 2 - (this.box.x + this.box.w / 2)) / passed_s;
      const vy = (box.y + box.h / 2 - (this.box.y + this.box.h / 2)) / passed_s;
      const keep = this.speed === null ? 0 : Math.exp(-passed_s / TRACKER.motion_s);
      const [ox, oy] = this.speed ?? [0, 0];
      this.speed = [keep * ox + (1 - keep) * vx, keep * oy + (1 - keep) * vy];
    }
    this.box = box;
    this.seen_s = t_s;
    this.appearance = look;
  }
}

/**
 * Matches the faces of each frame to tracks with minimum total cost, the negative distance-IoU (Zheng et al. 2020).
 *
 * A face that does not look like its track is treated as another person, for example after a cut or when a tile of a
 * video call has moved.
 */
export class Tracker {
  private tracks: Track[] = [];
  private readonly used = new Set<string>();

  /** @param random Returns random integers below its argument, for track names. */
  constructor(private readonly random: (below: number) => number) {}

  /**
   * Return one track name per detection, in the same order; if time decreases, all tracks end.
   *
   * @param picture The frame; null to match by position only.
   * @param step_s Usual time between frames of the source, in seconds.
   */
  update(t_s: number, detections: readonly Detection[], picture: Picture | null, step_s: number): string[] {
    const forget_s = Math.max(TRACKER.forget_s, step_s > LONGEST_INTERVAL_S ? TRACKER.steps * step_s : 0);
    this.tracks = this.tracks.filter((track) => t_s - track.seen_s >= 0 && t_s - track.seen_s <= forget_s);
    const known = this.tracks;
    const looks = detections.map(({ box }) => (picture === null ? null : new Appearance(picture, box)));
    const cost = known.map((track) => {
      const expected = track.expected(t_s);
      return detections.map(({ box }, k) => {
        const diou = distanceIou(expected, box);
        return diou >= TRACKER.min_diou && track.looksLike(looks[k]!, t_s, picture) ? -diou : FORBIDDEN;
      });
    });
    const matched = new Map<number, Track>();
    for (const [row, column] of assign(cost)) {
      if (cost[row]![column]! < FORBIDDEN) matched.set(column, known[row]!);
    }
    return detections.map(({ box }, k) => {
      let track = matched.get(k);
      if (track === undefined) {
        track = new Track(this.newName(), box, t_s, looks[k]!);
        this.tracks.push(track);
      } else {
        track.saw(box, t_s, looks[k]!);
      }
      return track.track_id;
    });
  }

  /** End all tracks. */
  forget(): void {
    this.tracks = [];
  }

  /** Names of the tracks that can still be matched. */
  get active(): ReadonlySet<string> {
    return new Set(this.tracks.map((track) => track.track_id));
  }

  private newName(): string {
    for (;;) {
      const letters = Array.from({ length: TRACKER.name_length }, () => TRACKER.name_letters[this.random(TRACKER.name_letters.length)]!);
      const name = letters.join("");
      if (!this.used.has(name)) {
        this.used.add(name);
        return name;
      }
    }
  }
}

/** Return the distance IoU (DIoU) of boxes, -1 to 1. */
function distanceIou(a: Box, b: Box): number {
  const across = Math.max(a.x + a.w, b.x + b.w) - Math.min(a.x, b.x);
  const down = Math.max(a.y + a.h, b.y + b.h) - Math.min(a.y, b.y);
  const diagonal = across * across + down * down;
  if (diagonal <= 0) return 1;
  const dx = a.x + a.w / 2 - (b.x + b.w / 2);
  const dy = a.y + a.h / 2 - (b.y + b.h / 2);
  return iou(a, b) - (dx * dx + dy * dy) / diagonal;
}
