/** Conversion to grey and resizing, with the same results as OpenCV. */

import type { Picture } from "./records.js";

/** Grey levels (H, W). */
export interface Grey {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** A part of a picture in whole pixels; the right and lower edges are exclusive. */
export interface Region {
  readonly x0: number;
  readonly y0: number;
  readonly x1: number;
  readonly y1: number;
}

/** A colour channel or grey levels: the level at (x, y) is `data[first + step * (y * width + x)]`. */
export interface Channel {
  readonly data: Uint8ClampedArray | Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly step: number;
  readonly first: number;
}

/** Destination of levels, written row by row from `start`, with rows `stride` apart. */
export interface Target {
  readonly data: Float32Array | Uint8Array;
  readonly start: number;
  readonly stride: number;
}

/** Resize method: area averaging, or linear interpolation after averaging by an integer factor of 2 or more, if possible. */
export type ResizeMode = "area" | "linear";

export const RED = 0;
export const GREEN = 1;
export const BLUE = 2;

/** Return a colour channel of a picture: `RED`, `GREEN` or `BLUE`. */
export function channelOf(picture: Picture, colour: number): Channel {
  return { data: picture.data, width: picture.width, height: picture.height, step: 4, first: colour };
}

/** Return grey levels as a channel. */
export function greyChannel({ data, width, height }: Grey): Channel {
  return { data, width, height, step: 1, first: 0 };
}

/** Round to the nearest integer, halves to even, as Python and OpenCV do. */
export function roundEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest < 0.5) return floor;
  if (rest > 0.5) return floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Return the mean of a sum of levels, rounded as in OpenCV: halves up for four pixels, else to even. */
export function averaged(sum: number, share: number): number {
  return share === 0.25 ? (sum + 2) >> 2 : roundEven(Math.fround(sum * Math.fround(share)));
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

/** Write a resized region of a channel. */
export function resize(target: Target, width: number, height: number, source: Channel, region: Region, mode: ResizeMode): void {
  const fromWidth = region.x1 - region.x0;
  const fromHeight = region.y1 - region.y0;
  if (fromWidth === width && fromHeight === height) {
    copy(target, source, region);
    return;
  }
  if (mode === "linear") {
    const factor = Math.min(Math.trunc(fromWidth / width), Math.trunc(fromHeight / height));
    if (factor < 2) {
      interpolate(target, width, height, source, region);
      return;
    }
    // the remainder at the right and lower edges is not used
    const [w, h] = [Math.trunc(fromWidth / factor), Math.trunc(fromHeight / factor)];
    const smaller = { data: new Uint8Array(w * h), width: w, height: h };
    const whole = { x0: region.x0, y0: region.y0, x1: region.x0 + w * factor, y1: region.y0 + h * factor };
    averageWhole({ data: smaller.data, start: 0, stride: w }, w, h, source, whole);
    resize(target, width, height, greyChannel(smaller), { x0: 0, y0: 0, x1: w, y1: h }, mode);
    return;
  }
  if (fromWidth % width === 0 && fromHeight % height === 0) averageWhole(target, width, height, source, region);
  else average(target, width, height, source, region);
}

/** Return a region of a channel as a small picture of `side` by `side` levels. */
export function thumbnail(source: Channel, region: Region, side: number): Uint8Array {
  const found = new Uint8Array(side * side);
  resize({ data: found, start: 0, stride: side }, side, side, source, region, "area");
  return found;
}

/** Return the whole of a channel as a region. */
export function wholeOf(source: { readonly width: number; readonly height: number }): Region {
  return { x0: 0, y0: 0, x1: source.width, y1: source.height };
}

function copy(target: Target, source: Channel, region: Region): void {
  const width = region.x1 - region.x0;
  const { data, step } = source;
  const out = target.data;
  for (let y = region.y0, row = target.start; y < region.y1; y++, row += target.stride) {
    let from = source.first + step * (y * source.width + region.x0);
    for (let x = 0; x < width; x++, from += step) out[row + x] = data[from]!;
  }
}

/** Average by an integer factor, which needs no weights. */
function averageWhole(target: Target, width: number, height: number, source: Channel, region: Region): void {
  const across = (region.x1 - region.x0) / width;
  const down = (region.y1 - region.y0) / height;
  const share = 1 / (across * down);
  const { data, step } = source;
  const line = step * source.width;
  const out = target.data;
  for (let y = 0, row = target.start; y < height; y++, row += target.stride) {
    let left = source.first + step * ((region.y0 + y * down) * source.width + region.x0);
    for (let x = 0; x < width; x++, left += step * across) {
      let sum = 0;
      for (let dy = 0, from = left; dy < down; dy++, from += line) {
        for (let dx = 0, at = from; dx < across; dx++, at += step) sum += data[at]!;
      }
      out[row + x] = averaged(sum, share);
    }
  }
}

/** Sampling of one axis: for each target pixel, a range of source pixels and their weights. */
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

/** Return the taps of OpenCV's area mode for enlargement, which aligns the edges of pixels, not their centres. */
function growingTaps(from: number, to: number): Taps {
  const scale = from / to;
  const first = new Int32Array(to);
  const count = new Int32Array(to);
  const weights = new Float32Array(to * 2);
  for (let k = 0; k < to; k++) {
    const begin = Math.floor(k * scale);
    const beyond = k + 1 - (begin + 1) / scale;
    const share = beyond <= 0 ? 0 : beyond - Math.floor(beyond);
    first[k] = Math.min(begin, from - 1);
    count[k] = begin + 1 < from ? 2 : 1;
    weights[2 * k] = count[k] === 2 ? 1 - share : 1;
    weights[2 * k + 1] = share;
  }
  return { first, count, weights, stride: 2 };
}

const TAPS = new Map<string, Taps>();

function taps(from: number, to: number, shrinks: boolean): Taps {
  const key = `${from}:${to}:${shrinks}`;
  let found = TAPS.get(key);
  if (found === undefined) {
    if (TAPS.size > 64) TAPS.clear(); // limits the cache; windows have few sizes
    found = shrinks ? areaTaps(from, to) : growingTaps(from, to);
    TAPS.set(key, found);
  }
  return found;
}

/** Weighted average as in OpenCV's `INTER_AREA`, which interpolates if either side grows. */
function average(target: Target, width: number, height: number, source: Channel, region: Region): void {
  const fromWidth = region.x1 - region.x0;
  const fromHeight = region.y1 - region.y0;
  const shrinks = fromWidth >= width && fromHeight >= height;
  const across = taps(fromWidth, width, shrinks);
  const down = taps(fromHeight, height, shrinks);
  const { data, step } = source;
  const out = target.data;
  const row = new Float32Array(fromWidth);
  for (let y = 0; y < height; y++) {
    row.fill(0);
    for (let n = 0; n < down.count[y]!; n++) {
      const weight = down.weights[y * down.stride + n]!;
      let from = source.first + step * ((region.y0 + down.first[y]! + n) * source.width + region.x0);
      for (let x = 0; x < fromWidth; x++, from += step) row[x] = row[x]! + weight * data[from]!;
    }
    const to = target.start + y * target.stride;
    for (let x = 0; x < width; x++) {
      let sum = 0;
      const first = across.first[x]!;
      for (let n = 0; n < across.count[x]!; n++) sum += across.weights[x * across.stride + n]! * row[first + n]!;
      out[to + x] = Math.round(sum);
    }
  }
}

/** For each target pixel of an axis, the first of two source pixels and the weight of the second in 2048ths, as in OpenCV. */
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

/** Linear interpolation in the fixed-point arithmetic of OpenCV's `INTER_LINEAR`, which differs in the last bit. */
function interpolate(target: Target, width: number, height: number, source: Channel, region: Region): void {
  const across = fixedTaps(region.x1 - region.x0, width);
  const down = fixedTaps(region.y1 - region.y0, height);
  const { data, step, first } = source;
  const out = target.data;
  for (let y = 0; y < height; y++) {
    const upper = region.y0 + down.first[y]!;
    const lower = Math.min(upper + 1, region.y1 - 1);
    const above = first + step * (upper * source.width + region.x0);
    const below = first + step * (lower * source.width + region.x0);
    const last = step * (region.x1 - 1 - region.x0);
    const v = down.second[y]!;
    const to = target.start + y * target.stride;
    for (let x = 0; x < width; x++) {
      const u = across.second[x]!;
      const a = step * across.first[x]!;
      const b = Math.min(a + step, last);
      const top = data[above + a]! * (2048 - u) + data[above + b]! * u;
      const bottom = data[below + a]! * (2048 - u) + data[below + b]! * u;
      const sum = (((2048 - v) * (top >> 4)) >> 16) + ((v * (bottom >> 4)) >> 16);
      out[to + x] = (sum + 2) >> 2;
    }
  }
}
