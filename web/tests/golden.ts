/** What Python answers to fixed inputs; written by `tests/golden_engine.py`. */

import { readFileSync } from "node:fs";
import type { Picture } from "../engine/records.js";

const FOLDER = new URL("../../tests/golden/", import.meta.url);

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- vectors of many shapes, checked by the tests themselves
export type Vectors = any;

export const ENGINE: Vectors = JSON.parse(readFileSync(new URL("engine.json", FOLDER), "utf-8"));
export const CROPS: Vectors = JSON.parse(readFileSync(new URL("crops.json", FOLDER), "utf-8"));

export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (byte) => parseInt(byte, 16));
}

/** Return the picture that `test_preprocess.golden_picture` makes. */
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
