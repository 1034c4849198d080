/** Conversion of a face to the model's 48x48 grey crop, byte-identical to `mien.preprocess`. */

import { CROP } from "./constants.js";
import { averaged, roundEven, toGrey } from "./picture.js";
import type { Landmarks, Picture } from "./records.js";

/** A (2, 3) transform from frame pixels to crop pixels, row by row. */
export type Transform = readonly [number, number, number, number, number, number];

/** Return the least-squares similarity transform from five landmarks to the canonical ones (Umeyama 1991). */
export function similarityFromLandmarks(landmarks: Landmarks): Transform {
  const canonical = CROP.canonical_landmarks;
  let sx = 0;
  let sy = 0;
  let tx = 0;
  let ty = 0;
  for (let k = 0; k < 5; k++) {
    sx += landmarks[2 * k]! / 5;
    sy += landmarks[2 * k + 1]! / 5;
    tx += canonical[k]![0]! / 5;
    ty += canonical[k]![1]! / 5;
  }
  let spread = 0;
  let along = 0;
  let turned = 0;
  for (let k = 0; k < 5; k++) {
    const x = landmarks[2 * k]! - sx;
    const y = landmarks[2 * k + 1]! - sy;
    const u = canonical[k]![0]! - tx;
    const v = canonical[k]![1]! - ty;
    spread += x * x + y * y;
    along += x * u + y * v;
    turned += x * v - y * u;
  }
  if (!(spread > 1e-6)) throw new RangeError("landmarks coincide or are not finite");
  const a = along / spread;
  const b = turned / spread;
  return [a, -b, tx - (a * sx - b * sy), b, a, ty - (b * sx + a * sy)];
}

/** Return the side of a crop in frame pixels. */
export function cropSidePx(transform: Transform): number {
  return CROP.size / Math.hypot(transform[0], transform[3]);
}

/** Warp a picture by `transform` into `crop`, 48x48 grey levels. */
export function warpFace(picture: Picture, transform: Transform, crop: Uint8Array): void {
  const scale = Math.hypot(transform[0], transform[3]);
  const factor = Math.min(CROP.max_supersampling, Math.max(1, Math.ceil(1 / scale)));
  const shift = (factor - 1) / 2;
  const finer: Transform = [
    transform[0] * factor,
    transform[1] * factor,
    transform[2] * factor + shift,
    transform[3] * factor,
    transform[4] * factor,
    transform[5] * factor + shift,
  ];
  const side = CROP.size * factor;
  const fine = factor === 1 ? crop : scratch(side * side);
  warpAffine(picture, finer, side, fine);
  if (factor > 1) averageDown(fine, factor, crop);
}

let buffer = new Uint8Array(0);

function scratch(length: number): Uint8Array {
  if (buffer.length < length) buffer = new Uint8Array(length);
  return buffer;
}

/** Sample grey levels linearly in the fixed-point arithmetic of OpenCV's `warpAffine`; the border is replicated. */
function warpAffine(picture: Picture, m: Transform, side: number, out: Uint8Array): void {
  const d = 1 / (m[0] * m[4] - m[1] * m[3]);
  const a0 = m[4] * d;
  const a1 = -m[1] * d;
  const b0 = -m[3] * d;
  const b1 = m[0] * d;
  const a2 = -a0 * m[2] - a1 * m[5];
  const b2 = -b0 * m[2] - b1 * m[5];
  const dx = new Int32Array(side);
  const dy = new Int32Array(side);
  for (let x = 0; x < side; x++) {
    dx[x] = roundEven(a0 * x * 1024);
    dy[x] = roundEven(b0 * x * 1024);
  }
  // only the sampled region is converted to grey
  const corners = [
    [0, 0],
    [side, 0],
    [0, side],
    [side, side],
  ].map(([x, y]) => [a0 * x! + a1 * y! + a2, b0 * x! + b1 * y! + b2] as const);
  const clampX = (value: number): number => Math.min(Math.max(value, 0), picture.width - 1);
  const clampY = (value: number): number => Math.min(Math.max(value, 0), picture.height - 1);
  const x0 = clampX(Math.floor(Math.min(...corners.map((c) => c[0]))) - 2);
  const y0 = clampY(Math.floor(Math.min(...corners.map((c) => c[1]))) - 2);
  const x1 = clampX(Math.ceil(Math.max(...corners.map((c) => c[0]))) + 2) + 1;
  const y1 = clampY(Math.ceil(Math.max(...corners.map((c) => c[1]))) + 2) + 1;
  const grey = toGrey(picture, { x0, y0, x1, y1 });
  const right = grey.width - 1;
  const bottom = grey.height - 1;
  const levels = grey.data;
  for (let y = 0, to = 0; y < side; y++) {
    const startX = roundEven((a1 * y + a2) * 1024) + 16;
    const startY = roundEven((b1 * y + b2) * 1024) + 16;
    for (let x = 0; x < side; x++) {
      const fx = (startX + dx[x]!) >> 5;
      const fy = (startY + dy[x]!) >> 5;
      const u = fx & 31;
      const v = fy & 31;
      const left = (fx >> 5) - x0;
      const top = (fy >> 5) - y0;
      const xa = left < 0 ? 0 : left > right ? right : left;
      const xb = left < -1 ? 0 : left + 1 > right ? right : left + 1;
      const ya = (top < 0 ? 0 : top > bottom ? bottom : top) * grey.width;
      const yb = (top < -1 ? 0 : top + 1 > bottom ? bottom : top + 1) * grey.width;
      const upper = levels[ya + xa]! * (32 - u) + levels[ya + xb]! * u;
      const lower = levels[yb + xa]! * (32 - u) + levels[yb + xb]! * u;
      out[to++] = (upper * (32 - v) + lower * v + 512) >> 10;
    }
  }
}

/** Average blocks of `factor` by `factor` levels, as OpenCV's `INTER_AREA` does. */
function averageDown(fine: Uint8Array, factor: number, crop: Uint8Array): void {
  const size = CROP.size;
  const side = size * factor;
  const share = 1 / (factor * factor);
  for (let y = 0, to = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      let sum = 0;
      for (let dy = 0; dy < factor; dy++) {
        let from = (y * factor + dy) * side + x * factor;
        for (let dx = 0; dx < factor; dx++) sum += fine[from++]!;
      }
      crop[to++] = averaged(sum, share);
    }
  }
}

