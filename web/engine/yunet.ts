/** Decoder of YuNet (Wu, Peng and Yu 2023), the same as in OpenCV's `FaceDetectorYN`. */

import { DETECTOR } from "./constants.js";
import type { Decoder } from "./detector.js";
import type { Box, Detection } from "./records.js";

const YUNET_NUMBERS = DETECTOR.yunet;
const STRIDES = YUNET_NUMBERS.strides as readonly number[];

export const YUNET: Decoder = {
  isGrey: false,
  multiple: Math.max(...STRIDES),
  outputs: STRIDES.flatMap((stride) => ["cls", "obj", "bbox", "kps"].map((name) => `${name}_${stride}`)),
  limits: YUNET_NUMBERS,
  decode(outputs, { width, height }, minScore) {
    const found: Detection[] = [];
    for (const stride of STRIDES) {
      const classes = outputs[`cls_${stride}`]!;
      const objects = outputs[`obj_${stride}`]!;
      const boxes = outputs[`bbox_${stride}`]!;
      const points = outputs[`kps_${stride}`]!;
      const columns = width / stride;
      const rows = height / stride;
      for (let row = 0, at = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++, at++) {
          const score = Math.sqrt(unit(classes[at]!) * unit(objects[at]!));
          if (score < minScore) continue;
          const w = Math.exp(boxes[4 * at + 2]!) * stride;
          const h = Math.exp(boxes[4 * at + 3]!) * stride;
          const x = (column + boxes[4 * at]!) * stride - w / 2;
          const y = (row + boxes[4 * at + 1]!) * stride - h / 2;
          const landmarks = new Float32Array(10);
          for (let k = 0; k < 5; k++) {
            landmarks[2 * k] = (points[10 * at + 2 * k]! + column) * stride;
            landmarks[2 * k + 1] = (points[10 * at + 2 * k + 1]! + row) * stride;
          }
          found.push({ box: { x, y, w, h }, score, landmarks });
        }
      }
    }
    return suppressed(found);
  },
};

function unit(value: number): number {
  return Math.min(Math.max(value, 0), 1);
}

/** Non-maximum suppression; overlaps are computed in whole pixels, as in OpenCV. */
function suppressed(found: Detection[]): Detection[] {
  const ordered = found
    .map((detection, place) => ({ detection, place }))
    .sort((a, b) => b.detection.score - a.detection.score || a.place - b.place)
    .slice(0, YUNET_NUMBERS.most_faces);
  const kept: { detection: Detection; whole: Box }[] = [];
  for (const { detection } of ordered) {
    const { x, y, w, h } = detection.box;
    const whole = { x: Math.trunc(x), y: Math.trunc(y), w: Math.trunc(w), h: Math.trunc(h) };
    if (kept.every((other) => wholeIou(whole, other.whole) <= YUNET_NUMBERS.nms_iou)) kept.push({ detection, whole });
  }
  return kept.map(({ detection }) => detection);
}

function wholeIou(a: Box, b: Box): number {
  const across = Math.min(a.x + a.w, b.x + b.w) - Math.max(a.x, b.x);
  const down = Math.min(a.y + a.h, b.y + b.h) - Math.max(a.y, b.y);
  const shared = across > 0 && down > 0 ? across * down : 0;
  const all = a.w * a.h + b.w * b.h - shared;
  return all > 0 ? shared / all : 1;
}
