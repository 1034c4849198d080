/**
 * Counts of a session: presence, expressions and facing the screen.
 *
 * Sums are kept by face and by time slice, so memory does not grow with a session's length. A frame represents at most a
 * second; time between frames that is not represented by any frame counts as not watched.
 */

import { EMOTIONS, TALLY } from "./constants.js";
import { Episodes } from "./episodes.js";
import { type FaceReading, type FrameResult, labelIndex } from "./records.js";

const UNREAD = EMOTIONS.length;
const FACING = UNREAD + 1;
const AWAY = UNREAD + 2;
const EMPTY = UNREAD + 3;
const COLUMNS = UNREAD + 4;

/** Sums of one face. */
export interface TrackSums {
  first_s: number;
  last_s: number;
  readings: number;
  uncertain: number;
  presence_s: number;
  readonly seconds: number[];
}

/** A time slice of a session: seconds by category. */
export interface Interval {
  readonly from_s: number;
  readonly to_s: number;
  readonly label_s: readonly number[];
  readonly unread_s: number;
  readonly facing_s: number;
  readonly away_s: number;
  readonly empty_s: number;
}

/** Counts and sums over the frames of a session. */
export class Tally {
  frames = 0;
  framesWithFace = 0;
  facesMax = 0;
  /** Whether a head in the latest frame faces the screen; null if no pose is known. */
  facingNow: boolean | null = null;
  /** Seconds not represented by any frame. */
  missed_s = 0;
  readonly episodes = new Episodes();
  readonly tracks = new Map<string, TrackSums>();
  /** Number of unread faces by reason. */
  readonly unread: Record<string, number> = {};
  private slice_s = TALLY.slice_s;
  private start_s: number | null = null;
  private last: FrameResult | null = null;
  private present_s = 0;
  private slices: number[][] = [];
  private atReset = EMOTIONS.map(() => 0);

  update(frame: FrameResult): void {
    this.start_s ??= frame.t_s;
    if (this.last !== null) {
      // a recorded frame represents the time after it, a live one the time before it
      const missed_s = frame.t_s - this.last.t_s - Math.max(this.last.interval_s, frame.interval_s);
      if (missed_s > 0) this.addMissed(frame.t_s - missed_s, frame.t_s);
    }
    this.last = frame;
    this.frames++;
    if (frame.faces.length > 0) this.framesWithFace++;
    this.facesMax = Math.max(this.facesMax, frame.faces.length);
    const row = this.sliceAt(frame.t_s - this.start_s);
    if (frame.faces.length > 0) this.present_s += frame.interval_s;
    else row[EMPTY] = row[EMPTY]! + frame.interval_s;
    for (const face of frame.faces) this.addFace(face, frame, row);
    this.episodes.update(frame);
    const poses = frame.faces.map((face) => face.facing).filter((facing) => facing !== null);
    this.facingNow = poses.length > 0 ? poses.some(Boolean) : null;
  }

  /** Seconds on the source's clock, watched or not. */
  get elapsed_s(): number {
    return this.present_s + this.total(EMPTY);
  }

  /** Seconds of face time by label. */
  get label_s(): number[] {
    return EMOTIONS.map((_, k) => this.total(k));
  }

  /** Shares of face time by label since the start or the last reset; all 0 before the first face. */
  get distribution(): number[] {
    const shown = this.label_s.map((value, k) => value - this.atReset[k]!);
    const total = shown.reduce((sum, value) => sum + value, 0);
    return shown.map((value) => (total > 1e-9 ? value / total : 0));
  }

  /** Share of the face time with known pose in which the head faced the screen; NaN if there is none. */
  get facingShare(): number {
    const [facing_s, away_s] = [this.total(FACING), this.total(AWAY)];
    return facing_s + away_s > 0 ? facing_s / (facing_s + away_s) : NaN;
  }

  /** Share of the time with a face in view; time that was not watched counts as absence. */
  get presenceShare(): number {
    return this.elapsed_s > 0 ? this.present_s / this.elapsed_s : 0;
  }

  /** Share of the time covered by frames; 1 before any time has passed. */
  get coverage(): number {
    return this.elapsed_s > 0 ? Math.max(0, 1 - this.missed_s / this.elapsed_s) : 1;
  }

  /** Share of the *watched* time with a face in view; NaN before any time has passed. */
  get presenceWhileWatched(): number {
    const watched_s = this.elapsed_s - this.missed_s;
    return watched_s > 1e-9 ? this.present_s / watched_s : NaN;
  }

  /** Reset the distribution on screen; everything else is kept. */
  resetScreen(): void {
    this.atReset = this.label_s;
  }

  get intervals(): Interval[] {
    return this.slices.map((row, k) => ({
      from_s: (this.start_s ?? 0) + k * this.slice_s,
      to_s: (this.start_s ?? 0) + (k + 1) * this.slice_s,
      label_s: row.slice(0, EMOTIONS.length),
      unread_s: row[UNREAD]!,
      facing_s: row[FACING]!,
      away_s: row[AWAY]!,
      empty_s: row[EMPTY]!,
    }));
  }

  private total(column: number): number {
    return this.slices.reduce((sum, row) => sum + row[column]!, 0);
  }

  /** Return the slice at `since_s` after the start; if there are too many, neighbouring slices are merged. */
  private sliceAt(since_s: number): number[] {
    let at = Math.trunc(Math.max(0, since_s) / this.slice_s);
    while (at >= TALLY.max_slices) {
      const merged: number[][] = [];
      for (let k = 0; k < this.slices.length; k += 2) {
        const next = this.slices[k + 1];
        merged.push(this.slices[k]!.map((value, column) => value + (next?.[column] ?? 0)));
      }
      this.slices = merged;
      this.slice_s *= 2;
      at = Math.trunc(at / 2);
    }
    while (this.slices.length <= at) this.slices.push(new Array<number>(COLUMNS).fill(0));
    return this.slices[at]!;
  }

  /** Add time that was not watched to its slices. */
  private addMissed(from_s: number, to_s: number): void {
    this.missed_s += to_s - from_s;
    const [from, to] = [from_s - this.start_s!, to_s - this.start_s!];
    this.sliceAt(to);
    this.slices.forEach((row, k) => {
      const shared = Math.min((k + 1) * this.slice_s, to) - Math.max(k * this.slice_s, from);
      if (shared > 0) row[EMPTY] = row[EMPTY]! + shared;
    });
  }

  private addFace(face: FaceReading, frame: FrameResult, row: number[]): void {
    let track = this.tracks.get(face.track_id);
    if (track === undefined) {
      const seconds = new Array<number>(COLUMNS).fill(0);
      track = { first_s: frame.t_s, last_s: frame.t_s, readings: 0, uncertain: 0, presence_s: 0, seconds };
      this.tracks.set(face.track_id, track);
    }
    track.last_s = frame.t_s;
    track.presence_s += frame.interval_s;
    const columns: number[] = [];
    if (face.facing !== null) columns.push(face.facing ? FACING : AWAY);
    if (face.unread) {
      this.unread[face.unread] = (this.unread[face.unread] ?? 0) + 1;
      columns.push(UNREAD);
    } else {
      columns.push(labelIndex(face.label));
      track.readings++;
      if (face.uncertain) track.uncertain++;
    }
    for (const column of columns) {
      track.seconds[column] = track.seconds[column]! + frame.interval_s;
      row[column] = row[column]! + frame.interval_s;
    }
  }
}
