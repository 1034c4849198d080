/**
 * Similarity of a face and its surroundings to their earlier appearance.
 *
 * Small grey pictures are compared while a track lasts. They do not identify persons.
 */

import { APPEARANCE } from "./constants.js";
import { GREEN, channelOf, thumbnail } from "./picture.js";
import { type Box, type Picture, boxRegion, iou } from "./records.js";

/** The appearance of a face when it was last seen. */
export class Appearance {
  private readonly face: Float32Array;
  private readonly wide: Float32Array;

  constructor(
    picture: Picture,
    private readonly box: Box,
  ) {
    this.face = patch(picture, box, 1);
    this.wide = patch(picture, box, APPEARANCE.wide);
  }

  /**
   * Return the similarity of this and a later appearance, -1 to 1.
   *
   * This is the maximum of up to three correlations: of the faces, of the faces with their surroundings, and, if the boxes
   * overlap, of the picture at the position of the first one.
   *
   * @param picture The frame of the later appearance.
   */
  likeness(other: Appearance, picture: Picture): number {
    const found = Math.max(correlation(this.face, other.face), correlation(this.wide, other.wide));
    if (iou(this.box, other.box) < APPEARANCE.same_place_iou) return found;
    return Math.max(found, correlation(this.wide, patch(picture, this.box, APPEARANCE.wide)));
  }
}

/** Detects cuts by comparing each frame with the previous one. */
export class CutDetector {
  private before: Float32Array | null = null;
  private shape = "";

  /** Return whether a frame begins a new scene; false for the first frame. */
  update(picture: Picture): boolean {
    const { width, height, data } = picture;
    const [columns, rows] = [places(width), places(height)];
    const now = Float32Array.from(rows.flatMap((y) => columns.map((x) => data[4 * (y * width + x) + GREEN]!)));
    const shape = `${rows.length}x${columns.length}`;
    const { before } = this;
    const isSameShape = shape === this.shape;
    this.before = now;
    this.shape = shape;
    if (before === null) return false;
    if (!isSameShape) return true;
    let gap = 0;
    for (let k = 0; k < now.length; k++) gap += Math.abs(now[k]! - before[k]!);
    if (gap / now.length <= APPEARANCE.cut_levels) return false;
    return correlation(normal(before), normal(now)) < APPEARANCE.cut_likeness;
  }
}

/** Return the sample positions along a side of a frame. */
function places(side: number): number[] {
  const count = Math.min(APPEARANCE.grid, side);
  const step = count > 1 ? (side - 1) / (count - 1) : 0;
  return Array.from({ length: count }, (_, k) => (k > 0 && k === count - 1 ? side - 1 : Math.trunc(k * step)));
}

/** Return the box, enlarged by `scale` and clipped to the frame, as a small normalised patch. */
function patch(picture: Picture, box: Box, scale: number): Float32Array {
  const wide = {
    x: box.x + (box.w / 2) * (1 - scale),
    y: box.y + (box.h / 2) * (1 - scale),
    w: scale * box.w,
    h: scale * box.h,
  };
  return normal(thumbnail(channelOf(picture, GREEN), boxRegion(picture, wide), APPEARANCE.side));
}

/** Return values with mean 0 and norm 1, so that the sum of products is the correlation; constant values become 0. */
function normal(values: Uint8Array | Float32Array): Float32Array {
  let mean = 0;
  for (const value of values) mean += value / values.length;
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  const norm = Math.max(Math.sqrt(squares), 1e-3);
  return Float32Array.from(values, (value) => (value - mean) / norm);
}

function correlation(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum += a[k]! * b[k]!;
  return sum;
}
