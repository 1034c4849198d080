/** Valence, arousal and entropy of the read faces, and the trend of the last seconds. */

import { AFFECT, EMOTIONS, TREND } from "./constants.js";
import type { FrameResult } from "./records.js";

/** Mean values: valence and arousal from -1 to 1, entropy in bits. */
export interface AffectValues {
  readonly valence: number;
  readonly arousal: number;
  readonly entropy_bits: number;
}

function valuesOf(probabilities: readonly number[]): [number, number, number] {
  let valence = 0;
  let arousal = 0;
  let entropy = 0;
  probabilities.forEach((p, k) => {
    valence += p * AFFECT[k]![0]!;
    arousal += p * AFFECT[k]![1]!;
    if (p > 0) entropy -= p * Math.log2(p);
  });
  return [valence, arousal, Math.abs(entropy)];
}

/** Mean valence, arousal and entropy of the current frame and over face time. */
export class Affect {
  /** Values of the current frame; NaN if no face was read. */
  now: AffectValues = { valence: NaN, arousal: NaN, entropy_bits: NaN };
  private readonly sums = [0, 0, 0];
  private seconds = 0;

  update(result: FrameResult): void {
    const rows = result.faces.filter((face) => !face.unread).map((face) => valuesOf(face.smoothed));
    const total = (k: number): number => rows.reduce((sum, row) => sum + row[k]!, 0);
    this.now = { valence: total(0) / rows.length, arousal: total(1) / rows.length, entropy_bits: total(2) / rows.length };
    for (let k = 0; k < 3; k++) this.sums[k] = this.sums[k]! + total(k) * result.interval_s;
    this.seconds += rows.length * result.interval_s;
  }

  /** Means over all face time; null before the first read face. */
  get mean(): AffectValues | null {
    if (this.seconds <= 0) return null;
    const [valence, arousal, entropy_bits] = this.sums.map((sum) => sum / this.seconds) as [number, number, number];
    return { valence, arousal, entropy_bits };
  }
}

/** A point of the trend: mean smoothed probabilities of the read faces, or null if there were none. */
export interface TrendPoint {
  readonly t_s: number;
  readonly shares: readonly number[] | null;
}

/** The trend of the last seconds, with at most ten points a second. */
export class Trend {
  readonly points: TrendPoint[] = [];

  update(result: FrameResult): void {
    const last = this.points.at(-1);
    if (last !== undefined && result.t_s - last.t_s < TREND.step_s) return;
    const rows = result.faces.filter((face) => !face.unread).map((face) => face.smoothed);
    const shares = EMOTIONS.map((_, k) => rows.reduce((sum, row) => sum + row[k]!, 0) / rows.length);
    this.points.push({ t_s: result.t_s, shares: rows.length > 0 ? shares : null });
    while (this.points[0]!.t_s < result.t_s - TREND.window_s) this.points.shift();
  }
}
