/** Pixels: grey levels and resizing, with the results of OpenCV. */

import type { Picture } from "./records.js";

/** Grey levels (H, W). */
export interface Grey {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** A part of a picture, in whole pixels; the right and lower edges are outside. */
export interface Region {
  readonly x0: number;
  readonly y0: number;
  readonly x1: number;
  readonly y1: number;
}

/** Return `value` rounded to a whole number, halves to the even one, as Python and OpenCV round. */
export function roundEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest < 0.5) return floor;
  if (rest > 0.5) return floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Return the grey levels (ITU-R BT.601 weights, OpenCV's fixed point) of a region that lies inside the picture. */
export function toGrey(picture: Picture, region: Region): Grey {
  const width = region.x1 - region.x0;
  const height = region.y1 - region.y0;
  const grey = new Uint8Array(width * height);
  const { data } = picture;
  for (let y = 0, to = 0; y < height; y++) {
    let from = 4 * ((region.y0 + y) * picture.width + region.x0);
    for (let x = 0; x < width; x++, from += 4) {
      grey[to++] = (data[from]! * 9798 + data[from + 1]! * 19235 + data[from + 2]! * 3735 + 16384) >> 15;
    }
  }
  return { data: grey, width, height };
}

/** Where the samples of one axis come from: for each target pixel a range of sources and their weights. */
interface Taps {
  readonly first: Int32Array;
  readonly count: Int32Array;
  readonly weights: Float32Array;
  readonly stride: number;
}

/** Return the taps that average `from` pixels down to `to`, each pixel weighted by its overlap. */
function areaTaps(from: number, to: number): Taps {
  const scale = from / to;
  const stride = Math.ceil(scale) + 2;
  const first = new Int32Array(to);
  const count = new Int32Array(to);
  const weights = new Float32Array(to * stride);
  for (let k = 0; k < to; k++) {
    const start = k * scale;
    const end = Math.min(start + scale, from);
    const begin = Math.floor(start + 1e-9);
    first[k] = begin;
    let n = 0;
    for (let at = begin; at < end - 1e-6 && at < from; at++, n++) {
      weights[k * stride + n] = (Math.min(at + 1, end) - Math.max(at, start)) / (end - start);
    }
    count[k] = n;
  }
  return { first, count, weights, stride };
}

/** Return the taps that interpolate linearly between pixel centres. */
function linearTaps(from: number, to: number): Taps {
  const scale = from / to;
  const first = new Int32Array(to);
  const count = new Int32Array(to).fill(2);
  const weights = new Float32Array(to * 2);
  for (let k = 0; k < to; k++) {
    const at = (k + 0.5) * scale - 0.5;
    const begin = Math.min(Math.max(Math.floor(at), 0), Math.max(from - 2, 0));
    const share = Math.min(Math.max(at - begin, 0), 1);
    first[k] = begin;
    weights[2 * k] = 1 - share;
    weights[2 * k + 1] = from > 1 ? share : 0;
    if (from === 1) {
      weights[2 * k] = 1;
      count[k] = 1;
    }
  }
  return { first, count, weights, stride: 2 };
}

const TAPS = new Map<string, Taps>();

function taps(from: number, to: number): Taps {
  const key = `${from}:${to}`;
  let found = TAPS.get(key);
  if (found === undefined) {
    if (TAPS.size > 64) TAPS.clear(); // windows come in few sizes; what is kept is bounded
    found = from >= to ? areaTaps(from, to) : linearTaps(from, to);
    TAPS.set(key, found);
  }
  return found;
}

/** Where the planes of a resized picture go. */
export interface Planes {
  /** Blue, green and red planes, one after the other. */
  readonly data: Float32Array;
  /** Width and height of a plane. */
  readonly width: number;
  readonly height: number;
}

/** How a picture shrinks: averaged over areas, or interpolated, after it was averaged by a whole factor where that is 2 or more. */
export type ResizeMode = "area" | "linear";

/** Resize a region of a picture into blue, green and red planes at (left, top), `width` by `height` pixels. */
export function resizeInto(
  planes: Planes,
  left: number,
  top: number,
  width: number,
  height: number,
  picture: Picture,
  region: Region,
  mode: ResizeMode = "area",
): void {
  const fromWidth = region.x1 - region.x0;
  const fromHeight = region.y1 - region.y0;
  const { data } = picture;
  const plane = planes.width * planes.height;
  const out = planes.data;
  if (fromWidth === width && fromHeight === height) {
    for (let y = 0; y < height; y++) {
      let from = 4 * ((region.y0 + y) * picture.width + region.x0);
      let to = (top + y) * planes.width + left;
      for (let x = 0; x < width; x++, from += 4, to++) {
        out[to] = data[from + 2]!;
        out[to + plane] = data[from + 1]!;
        out[to + 2 * plane] = data[from]!;
      }
    }
    return;
  }
  const factor = Math.min(Math.trunc(fromWidth / width), Math.trunc(fromHeight / height));
  if (mode === "linear" && factor >= 2) {
    const smaller = shrunk(picture, region, factor);
    resizeInto(planes, left, top, width, height, smaller, { x0: 0, y0: 0, x1: smaller.width, y1: smaller.height }, mode);
    return;
  }
  if (mode === "area" && fromWidth % width === 0 && fromHeight % height === 0) {
    shrinkWhole(planes, left, top, width, height, picture, region);
    return;
  }
  if (mode === "linear") {
    interpolateInto(planes, left, top, width, height, picture, region);
    return;
  }
  const across = taps(fromWidth, width);
  const down = taps(fromHeight, height);
  const row = new Float32Array(3 * fromWidth);
  for (let y = 0; y < height; y++) {
    row.fill(0);
    for (let n = 0; n < down.count[y]!; n++) {
      const weight = down.weights[y * down.stride + n]!;
      let from = 4 * ((region.y0 + down.first[y]! + n) * picture.width + region.x0);
      for (let x = 0; x < 3 * fromWidth; x += 3, from += 4) {
        row[x] = row[x]! + weight * data[from + 2]!;
        row[x + 1] = row[x + 1]! + weight * data[from + 1]!;
        row[x + 2] = row[x + 2]! + weight * data[from]!;
      }
    }
    let to = (top + y) * planes.width + left;
    for (let x = 0; x < width; x++, to++) {
      let blue = 0;
      let green = 0;
      let red = 0;
      for (let n = 0, at = 3 * across.first[x]!; n < across.count[x]!; n++, at += 3) {
        const weight = across.weights[x * across.stride + n]!;
        blue += weight * row[at]!;
        green += weight * row[at + 1]!;
        red += weight * row[at + 2]!;
      }
      out[to] = Math.round(blue);
      out[to + plane] = Math.round(green);
      out[to + 2 * plane] = Math.round(red);
    }
  }
}

/** For each target pixel of an axis the first of two sources, and the weight of the second in 2048ths, as OpenCV has them. */
function fixedTaps(from: number, to: number): { first: Int32Array; second: Int32Array } {
  const scale = from / to;
  const first = new Int32Array(to);
  const second = new Int32Array(to);
  for (let k = 0; k < to; k++) {
    const at = Math.fround((k + 0.5) * scale - 0.5);
    const begin = Math.floor(at);
    const inside = begin >= 0 && begin < from - 1;
    first[k] = Math.min(Math.max(begin, 0), from - 1);
    second[k] = inside ? roundEven(Math.fround(Math.fround(at - begin) * 2048)) : 0;
  }
  return { first, second };
}

/** Interpolate linearly in the fixed point of OpenCV's `INTER_LINEAR`, which differs from exact arithmetic in the last bit. */
function interpolateInto(
  planes: Planes,
  left: number,
  top: number,
  width: number,
  height: number,
  picture: Picture,
  region: Region,
): void {
  const fromWidth = region.x1 - region.x0;
  const fromHeight = region.y1 - region.y0;
  const across = fixedTaps(fromWidth, width);
  const down = fixedTaps(fromHeight, height);
  const { data } = picture;
  const plane = planes.width * planes.height;
  for (let y = 0; y < height; y++) {
    const upper = region.y0 + down.first[y]!;
    const lower = Math.min(upper + 1, region.y1 - 1);
    const v = down.second[y]!;
    let to = (top + y) * planes.width + left;
    for (let x = 0; x < width; x++, to++) {
      const u = across.second[x]!;
      const xa = region.x0 + across.first[x]!;
      const xb = Math.min(xa + 1, region.x1 - 1);
      const [ua, ub] = [4 * (upper * picture.width + xa), 4 * (upper * picture.width + xb)];
      const [la, lb] = [4 * (lower * picture.width + xa), 4 * (lower * picture.width + xb)];
      for (let channel = 0; channel < 3; channel++) {
        const above = data[ua + channel]! * (2048 - u) + data[ub + channel]! * u;
        const below = data[la + channel]! * (2048 - u) + data[lb + channel]! * u;
        const sum = (((2048 - v) * (above >> 4)) >> 16) + ((v * (below >> 4)) >> 16);
        planes.data[to + (2 - channel) * plane] = (sum + 2) >> 2;
      }
    }
  }
}

/** Return a region averaged by a whole factor, without what is left over at the right and the lower edge. */
function shrunk(picture: Picture, region: Region, factor: number): Picture {
  const width = Math.trunc((region.x1 - region.x0) / factor);
  const height = Math.trunc((region.y1 - region.y0) / factor);
  const data = new Uint8Array(4 * width * height);
  const share = 1 / (factor * factor);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++, to += 4) {
      let [red, green, blue] = [0, 0, 0];
      for (let dy = 0; dy < factor; dy++) {
        let from = 4 * ((region.y0 + y * factor + dy) * picture.width + region.x0 + x * factor);
        for (let dx = 0; dx < factor; dx++, from += 4) {
          red += picture.data[from]!;
          green += picture.data[from + 1]!;
          blue += picture.data[from + 2]!;
        }
      }
      data[to] = averaged(red, share);
      data[to + 1] = averaged(green, share);
      data[to + 2] = averaged(blue, share);
    }
  }
  return { data, width, height };
}

/** Return the mean of a sum of levels, rounded as OpenCV does: a half goes up where four pixels are averaged, else to even. */
export function averaged(sum: number, share: number): number {
  return share === 0.25 ? (sum + 2) >> 2 : roundEven(Math.fround(sum * Math.fround(share)));
}

/** The same by a whole factor, which needs no weights. */
function shrinkWhole(
  planes: Planes,
  left: number,
  top: number,
  width: number,
  height: number,
  picture: Picture,
  region: Region,
): void {
  const across = (region.x1 - region.x0) / width;
  const down = (region.y1 - region.y0) / height;
  const { data } = picture;
  const plane = planes.width * planes.height;
  const out = planes.data;
  const share = 1 / (across * down);
  for (let y = 0; y < height; y++) {
    let to = (top + y) * planes.width + left;
    for (let x = 0; x < width; x++, to++) {
      let blue = 0;
      let green = 0;
      let red = 0;
      for (let dy = 0; dy < down; dy++) {
        let from = 4 * ((region.y0 + y * down + dy) * picture.width + region.x0 + x * across);
        for (let dx = 0; dx < across; dx++, from += 4) {
          red += data[from]!;
          green += data[from + 1]!;
          blue += data[from + 2]!;
        }
      }
      out[to] = averaged(blue, share);
      out[to + plane] = averaged(green, share);
      out[to + 2 * plane] = averaged(red, share);
    }
  }
}

/** Return one channel (0 red, 1 green, 2 blue) of a region as a small picture of `side` by `side` grey levels. */
export function thumbnail(picture: Picture, region: Region, channel: number, side: number): Uint8Array {
  const width = region.x1 - region.x0;
  const height = region.y1 - region.y0;
  const shrinks = width >= side && height >= side; // OpenCV's area mode interpolates when either side grows
  const across = shrinks ? taps(width, side) : linearTaps(width, side);
  const down = shrinks ? taps(height, side) : linearTaps(height, side);
  const found = new Uint8Array(side * side);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      let sum = 0;
      for (let n = 0; n < down.count[y]!; n++) {
        let from = 4 * ((region.y0 + down.first[y]! + n) * picture.width + region.x0 + across.first[x]!) + channel;
        let row = 0;
        for (let m = 0; m < across.count[x]!; m++, from += 4) {
          row += across.weights[x * across.stride + m]! * picture.data[from]!;
        }
        sum += down.weights[y * down.stride + n]! * row;
      }
      found[y * side + x] = Math.round(sum);
    }
  }
  return found;
}
