/** `mien-detect`, the packaged detector: takes grey pictures of any size and returns the cells that predict a face. */

import { DETECTOR } from "./constants.js";
import type { Decoder } from "./detector.js";
import { type Box, type Detection, type Landmarks, iou } from "./records.js";

const NUMBERS = DETECTOR["mien-detect"];

export const MIEN_DETECT: Decoder = {
  isGrey: true,
  multiple: 1,
  outputs: ["scores", "boxes", "landmarks"],
  limits: NUMBERS,
  decode(outputs, _, minScore) {
    const scores = outputs["scores"]!;
    const boxes = outputs["boxes"]!;
    const points = outputs["landmarks"]!;
    const cells: Detection[] = [];
    scores.forEach((score, k) => {
      if (score < minScore) return;
      const [x, y, w, h] = boxes.subarray(4 * k, 4 * k + 4) as unknown as [number, number, number, number];
      cells.push({ box: { x, y, w, h }, score, landmarks: points.slice(10 * k, 10 * k + 10) });
    });
    return mergedFaces(cells.sort((a, b) => b.score - a.score).slice(0, NUMBERS.most));
  },
  agreed: { least_score: NUMBERS.least_score, join: agreedFaces },
};

/**
 * Merge cells, sorted by descending score, to faces.
 *
 * Cells whose boxes overlap belong to the same face. Its box and landmarks are means, weighted by score, over the cells
 * whose boxes nearly agree with that of the highest score.
 */
function mergedFaces(cells: readonly Detection[]): Detection[] {
  const found: Detection[] = [];
  let left = cells;
  while (left.length > 0) {
    const best = left[0]!;
    const agreeing = left.filter((cell) => iou(cell.box, best.box) > NUMBERS.agreeing_iou);
    found.push(weightedMean(agreeing.length > 0 ? agreeing : [best]));
    left = left.filter((cell) => {
      if (cell === best) return false;
      return iou(cell.box, best.box) <= NUMBERS.same_iou && shareInside(cell.box, best.box) <= NUMBERS.same_inside;
    });
  }
  return found;
}

/** Return the intersection of two boxes as a share of the smaller one, 0 to 1. */
function shareInside(a: Box, b: Box): number {
  const across = Math.max(0, Math.min(a.x + a.w, b.x + b.w) - Math.max(a.x, b.x));
  const down = Math.max(0, Math.min(a.y + a.h, b.y + b.h) - Math.max(a.y, b.y));
  return (across * down) / Math.min(a.w * a.h, b.w * b.h);
}

/** Return the mean of cells, weighted by score, with the score of the first one. */
function weightedMean(cells: readonly Detection[]): Detection {
  const sum = cells.reduce((total, { score }) => total + score, 0);
  const box = { x: 0, y: 0, w: 0, h: 0 };
  const landmarks: Landmarks = new Float32Array(10);
  for (const cell of cells) {
    const weight = cell.score / sum;
    for (const edge of ["x", "y", "w", "h"] as const) box[edge] += weight * cell.box[edge];
    for (let k = 0; k < 10; k++) landmarks[k] = landmarks[k]! + weight * cell.landmarks[k]!;
  }
  return { box, score: cells[0]!.score, landmarks };
}

/**
 * Combine the detections of a picture at full and at half size, both in its pixels.
 *
 * The score of a face is the mean of the two, with 0 for a size at which it was not detected. Small faces may be missed at
 * half size, so their score is reduced by a limited amount.
 */
function agreedFaces(fine: readonly Detection[], half: readonly Detection[]): Detection[] {
  return fine.map((face) => {
    const side = Math.max(face.box.w, face.box.h);
    let other: Detection | undefined;
    for (const each of half) {
      if (other === undefined || iou(each.box, face.box) > iou(other.box, face.box)) other = each;
    }
    if (other !== undefined && iou(other.box, face.box) <= NUMBERS.same_iou) other = undefined;
    let score = (face.score + (other?.score ?? 0)) / 2;
    if (side < NUMBERS.seen_twice) score = Math.max(score, face.score - NUMBERS.one_look);
    const best = other !== undefined && side > NUMBERS.large ? other : face;
    return { box: best.box, score, landmarks: best.landmarks };
  });
}
