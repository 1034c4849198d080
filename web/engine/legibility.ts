/** Quality gate: faces that are too small, blurred, dark or turned away are not read, with a reason. */

import { CROP, LEGIBILITY } from "./constants.js";
import type { HeadPose } from "./records.js";

/** Measures of a crop: mean and standard deviation in grey levels, and the logarithm of relative sharpness. */
export interface Measures {
  readonly brightness: number;
  readonly contrast: number;
  readonly sharpness: number;
}

/** Return the measures of a crop of 48x48 grey levels. Sharpness follows Pech-Pacheco et al. 2000. */
export function pictureMeasures(crop: Uint8Array): Measures {
  const size = CROP.size;
  const { mean, variance } = moments(crop, crop.length);
  const inner = (size - 2) * (size - 2);
  const laplacian = new Int32Array(inner);
  for (let y = 1, to = 0; y < size - 1; y++) {
    for (let x = 1, at = y * size + 1; x < size - 1; x++, at++) {
      laplacian[to++] = crop[at - size]! + crop[at + size]! + crop[at - 1]! + crop[at + 1]! - 4 * crop[at]!;
    }
  }
  const sharpness = Math.log10((moments(laplacian, inner).variance + 1e-3) / (variance + 1e-3));
  return { brightness: mean, contrast: Math.sqrt(variance), sharpness };
}

function moments(values: Uint8Array | Int32Array, count: number): { mean: number; variance: number } {
  let sum = 0;
  let squares = 0;
  for (let k = 0; k < count; k++) {
    sum += values[k]!;
    squares += values[k]! * values[k]!;
  }
  const mean = sum / count;
  return { mean, variance: Math.max(0, squares / count - mean * mean) };
}

/**
 * Return the reason why a face fails the quality gate, "" if it passes.
 *
 * @param sidePx Side of the crop in frame pixels.
 * @param wasRead Whether the face was read in the previous frame; its limits are then wider.
 */
export function whyUnread(crop: Uint8Array, sidePx: number, pose: HeadPose | null, wasRead: boolean): string {
  const slack = wasRead ? LEGIBILITY.slack : 0;
  if (sidePx < LEGIBILITY.smallest_px * (1 - slack)) return "too small";
  const measures = pictureMeasures(crop);
  if (measures.brightness < LEGIBILITY.darkest * (1 - slack)) return "too dark";
  if (measures.contrast < LEGIBILITY.flattest * (1 - slack)) return "too flat";
  if (pose !== null && Math.max(Math.abs(pose.yaw_deg), Math.abs(pose.pitch_deg)) > LEGIBILITY.furthest_deg * (1 + slack)) {
    return "turned away";
  }
  return measures.sharpness < LEGIBILITY.least_sharpness * (1 + slack) ? "blurred" : "";
}
