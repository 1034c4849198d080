/** Face detection: pictures into the network's input, its outputs into boxes and landmarks. */

import { DETECTOR } from "./constants.js";
import { type Planes, type Region, resizeInto, roundEven } from "./picture.js";
import type { Box, Detection, Landmarks, Picture } from "./records.js";

/** Outputs of a network by name. */
export type Outputs = Readonly<Record<string, Float32Array>>;

/** Runs the detector's network on (1, 3, height, width) blue, green and red levels, 0 to 255. */
export type RunDetector = (input: Float32Array, width: number, height: number) => Promise<Outputs>;

/** How the outputs of one kind of network are read. */
export interface Decoder {
  /** Width and height of the input are multiples of this. */
  readonly multiple: number;
  /** Names of the outputs that `decode` needs. */
  readonly outputs: readonly string[];
  /** Return the faces in an input of `width` by `height` pixels, in pixels of that input, without overlaps. */
  decode(outputs: Outputs, width: number, height: number, minScore: number): Detection[];
}

const STRIDES = DETECTOR.yunet.strides as readonly number[];

/** YuNet (Wu, Peng and Yu 2023): anchors on three grids, as OpenCV's `FaceDetectorYN` decodes them. */
export const YUNET: Decoder = {
  multiple: Math.max(...STRIDES),
  outputs: STRIDES.flatMap((stride) => ["cls", "obj", "bbox", "kps"].map((name) => `${name}_${stride}`)),
  decode(outputs, width, height, minScore) {
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

/** The decoders by the name of the network. */
export const DECODERS: Readonly<Record<string, Decoder>> = { yunet: YUNET };

function unit(value: number): number {
  return Math.min(Math.max(value, 0), 1);
}

/** Return the best of overlapping detections (non-maximum suppression); overlaps are measured in whole pixels, as in OpenCV. */
function suppressed(found: Detection[]): Detection[] {
  const ordered = found
    .map((detection, place) => ({ detection, place }))
    .sort((a, b) => b.detection.score - a.detection.score || a.place - b.place)
    .slice(0, DETECTOR.most_faces);
  const kept: { detection: Detection; whole: Box }[] = [];
  for (const { detection } of ordered) {
    const { x, y, w, h } = detection.box;
    const whole = { x: Math.trunc(x), y: Math.trunc(y), w: Math.trunc(w), h: Math.trunc(h) };
    if (kept.every((other) => wholeIou(whole, other.whole) <= DETECTOR.nms_iou)) kept.push({ detection, whole });
  }
  return kept.map(({ detection }) => detection).filter(canBeAligned);
}

function wholeIou(a: Box, b: Box): number {
  const across = Math.min(a.x + a.w, b.x + b.w) - Math.max(a.x, b.x);
  const down = Math.min(a.y + a.h, b.y + b.h) - Math.max(a.y, b.y);
  const shared = across > 0 && down > 0 ? across * down : 0;
  const all = a.w * a.h + b.w * b.h - shared;
  return all > 0 ? shared / all : 1;
}

/** Return whether a detection is finite, and its landmarks do not fall together. */
function canBeAligned({ box, landmarks }: Detection): boolean {
  if (![box.x, box.y, ...landmarks].every(Number.isFinite) || !(box.w > 0 && box.h > 0)) return false;
  const across = landmarks.filter((_, k) => k % 2 === 0);
  const down = landmarks.filter((_, k) => k % 2 === 1);
  const spread = (values: Landmarks): number => Math.max(...values) - Math.min(...values);
  return Math.max(spread(across), spread(down)) >= 1;
}

/** What the finder needs of a detector. */
export interface FaceDetector {
  /** Return the faces in a picture, from left to right. */
  detect(picture: Picture): Promise<Detection[]>;
  /** Return the large (near) faces of a picture, in a third of the time. */
  detectCoarsely(picture: Picture): Promise<Detection[]>;
  /** Return the faces around each of `boxes`, which are looked at in small windows. */
  detectNear(picture: Picture, boxes: readonly Box[]): Promise<Detection[][]>;
}

/** A detector network on whole pictures and on windows. */
export class NetworkDetector implements FaceDetector {
  private readonly buffers = new Map<number, Float32Array>();

  constructor(
    private readonly run: RunDetector,
    private readonly decoder: Decoder,
  ) {}

  detect(picture: Picture): Promise<Detection[]> {
    return this.search(picture, DETECTOR.max_side);
  }

  detectCoarsely(picture: Picture): Promise<Detection[]> {
    return this.search(picture, DETECTOR.coarse_side);
  }

  async detectNear(picture: Picture, boxes: readonly Box[]): Promise<Detection[][]> {
    if (boxes.length === 0) return [];
    const side = DETECTOR.window;
    // windows stand side by side, and both sides of the input must be multiples
    const planes = this.planes(this.padded(side * boxes.length), this.padded(side));
    const windows = boxes.map((box, k) => placeWindow(planes, k * side, picture, box));
    const minScore = Math.min(DETECTOR.min_score, DETECTOR.known_score);
    const found: Detection[][] = boxes.map(() => []);
    for (const detection of await this.read(planes, minScore)) {
      const middle = detection.box.x + detection.box.w / 2;
      const number = Math.min(Math.max(Math.floor(middle / side), 0), boxes.length - 1);
      const { left, top, zoom } = windows[number]!;
      found[number]!.push(moved(detection, left / zoom - number * side, top / zoom, zoom));
    }
    return found;
  }

  private async search(picture: Picture, maxSide: number): Promise<Detection[]> {
    const scale = Math.min(1, maxSide / Math.max(picture.width, picture.height));
    const width = Math.max(1, roundEven(picture.width * scale));
    const height = Math.max(1, roundEven(picture.height * scale));
    const planes = this.planes(this.padded(width), this.padded(height));
    resizeInto(planes, 0, 0, width, height, picture, { x0: 0, y0: 0, x1: picture.width, y1: picture.height });
    const found = await this.read(planes, DETECTOR.min_score);
    return found.map((detection) => moved(detection, 0, 0, 1 / scale)).sort((a, b) => a.box.x - b.box.x);
  }

  private async read(planes: Planes, minScore: number): Promise<Detection[]> {
    const outputs = await this.run(planes.data, planes.width, planes.height);
    return this.decoder.decode(outputs, planes.width, planes.height, minScore);
  }

  private padded(side: number): number {
    return Math.ceil(side / this.decoder.multiple) * this.decoder.multiple;
  }

  /** Return black planes; the same memory each time, since inputs of one size follow one another. */
  private planes(width: number, height: number): Planes {
    const length = 3 * width * height;
    let data = this.buffers.get(length);
    if (data === undefined) {
      if (this.buffers.size > 12) this.buffers.clear();
      data = new Float32Array(length);
      this.buffers.set(length, data);
    }
    data.fill(0);
    return { data, width, height };
  }
}

/** Return a detection moved by (dx, dy), then enlarged by `zoom` about the origin. */
function moved(detection: Detection, dx: number, dy: number, zoom: number): Detection {
  const { x, y, w, h } = detection.box;
  return {
    box: { x: (x + dx) * zoom, y: (y + dy) * zoom, w: w * zoom, h: h * zoom },
    score: detection.score,
    landmarks: detection.landmarks.map((value, k) => (value + (k % 2 === 0 ? dx : dy)) * zoom),
  };
}

/** Put the window around a face at `at` in the planes; return its left and top, and picture pixels for each window pixel. */
function placeWindow(planes: Planes, at: number, picture: Picture, box: Box): { left: number; top: number; zoom: number } {
  const window = DETECTOR.window;
  const side = Math.max(roundEven(DETECTOR.around * Math.max(box.w, box.h)), window);
  const left = roundEven(box.x + box.w / 2 - side / 2);
  const top = roundEven(box.y + box.h / 2 - side / 2);
  const region: Region = {
    x0: Math.max(left, 0),
    y0: Math.max(top, 0),
    x1: Math.min(left + side, picture.width),
    y1: Math.min(top + side, picture.height),
  };
  const zoom = side / window;
  if (region.x1 > region.x0 && region.y1 > region.y0) {
    const a = roundEven((region.x0 - left) / zoom);
    const b = roundEven((region.y0 - top) / zoom);
    const c = roundEven((region.x1 - left) / zoom);
    const d = roundEven((region.y1 - top) / zoom);
    if (c > a && d > b) resizeInto(planes, at + a, b, c - a, d - b, picture, region, "linear");
  }
  return { left, top, zoom };
}
