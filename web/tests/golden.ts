/** Python's results for fixed inputs; written by `tests/golden_engine.py`. */

import { readFileSync } from "node:fs";
import { expect } from "vitest";
import type { Box, Detection, Picture } from "../engine/records.js";

const FOLDER = new URL("../../tests/golden/", import.meta.url);

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- vectors of many shapes, checked by the tests themselves
export type Vectors = any;

export const ENGINE: Vectors = JSON.parse(readFileSync(new URL("engine.json", FOLDER), "utf-8"));
export const CROPS: Vectors = JSON.parse(readFileSync(new URL("crops.json", FOLDER), "utf-8"));

export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (byte) => parseInt(byte, 16));
}

/** Return the picture of `test_preprocess.golden_picture`. */
export function goldenPicture(): Picture {
  const [width, height] = [320, 240];
  const data = new Uint8Array(4 * width * height);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 4) {
      data[at + 2] = (x * 3 + y) % 256;
      data[at + 1] = Math.floor((x * y) / 7) % 256;
      data[at] = (x + 5 * y + Math.floor(x / 16) * 40) % 256;
      data[at + 3] = 255;
    }
  }
  return { data, width, height };
}

const BACKGROUNDS = new Map<number, Uint32Array>();

/** Draw the picture of `golden_engine.draw`. */
export function draw(boxes: readonly Box[], people: readonly number[], place: number): Picture {
  const [width, height] = [640, 360];
  let background = BACKGROUNDS.get(place);
  if (background === undefined) {
    background = new Uint32Array(width * height);
    for (let y = 0, at = 0; y < height; y++) {
      for (let x = 0; x < width; x++) background[at++] = grey(60 + Math.floor(wave(x * (1 + place) + y * (3 - place)) / 3));
    }
    BACKGROUNDS.set(place, background);
  }
  const pixels = background.slice();
  boxes.forEach((box, k) => {
    const [left, top, w, h] = [box.x, box.y, box.w, box.h].map(Math.trunc) as [number, number, number, number];
    const person = people[k]!;
    for (let y = Math.max(top, 0); y < Math.min(top + h, height); y++) {
      for (let x = Math.max(left, 0); x < Math.min(left + w, width); x++) {
        const [u, v] = [Math.floor(((x - left) * 256) / Math.max(w, 1)), Math.floor(((y - top) * 256) / Math.max(h, 1))];
        pixels[y * width + x] = grey(60 + wave((1 + person) * u + (2 - person) * v + 70 * person));
      }
    }
  });
  return { data: new Uint8Array(pixels.buffer), width, height };
}

function grey(level: number): number {
  return level * 0x010101;
}

function wave(at: number): number {
  return Math.abs((((at % 256) + 256) % 256) - 128);
}

/** Expect the faces that Python found, to `px` pixels. */
export function expectFaces(found: readonly Detection[], expected: readonly Vectors[], px: number): void {
  expect(found.length).toBe(expected.length);
  found.forEach(({ box, score, landmarks }, k) => {
    expect(Math.abs(score - expected[k].score)).toBeLessThan(1e-3);
    const numbers = [box.x, box.y, box.w, box.h, ...landmarks];
    const { x, y, w, h } = expected[k].box;
    [x, y, w, h, ...expected[k].landmarks].forEach((value, at) => expect(Math.abs(numbers[at]! - value)).toBeLessThan(px));
  });
}

/** Return the CRC-32 of bytes, as Python's `zlib.crc32`. */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}
