/** Compares the networks in ONNX Runtime Web with Python; `tests/test_browser.py` writes the expected outputs. */

import { readFileSync } from "node:fs";
import { env } from "onnxruntime-web/wasm";
import { describe, expect, test } from "vitest";
import { DECODERS } from "../engine/decoders.js";
import { NetworkDetector } from "../engine/detector.js";
import type { Picture } from "../engine/records.js";
import { configureRuntime, openDetector, openReader } from "../runtime.js";
import { type Vectors, expectFaces, fromHex } from "./golden.js";

const FILE = process.env["NETWORK_ANSWERS"];

describe.skipIf(!FILE)("networks", () => {
  const answers: Vectors = FILE ? JSON.parse(readFileSync(FILE, "utf-8")) : { detectors: [] };
  const runtime = new URL("../node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm", import.meta.url);
  configureRuntime(runtime.href);
  env.wasm.wasmBinary = readFileSync(runtime); // Node.js cannot fetch files

  test.each(["yunet", "mien-detect"])("%s finds what it finds in Python", async (name) => {
    const expected = answers.detectors.find((each: Vectors) => each.name === name);
    const decoder = DECODERS[name]!;
    const detector = new NetworkDetector(await openDetector(readFileSync(expected.file), decoder.outputs), decoder);
    const picture = fromBgr(answers.picture);
    const found = await detector.detect(picture);
    expect(found.length).toBeGreaterThan(0);
    expectFaces(found, expected.whole, 0.5);
    expectFaces((await detector.detectNear(picture, found.map(({ box }) => box))).flat(), expected.near, 1.5);
  });

  test("the model answers as in Python", async () => {
    const { file, crops_hex, probabilities } = answers.model;
    const read = await openReader(readFileSync(file));
    const found = await read(Uint8Array.from(crops_hex.flatMap((hex: string) => [...fromHex(hex)])), crops_hex.length);
    probabilities.flat().forEach((value: number, k: number) => expect(Math.abs(found[k]! - value)).toBeLessThan(1e-3));
  });
});

function fromBgr({ width, height, bgr_hex }: Vectors): Picture {
  const levels = fromHex(bgr_hex);
  const data = new Uint8Array(4 * width * height);
  for (let k = 0; k < width * height; k++) data.set([levels[3 * k + 2]!, levels[3 * k + 1]!, levels[3 * k]!, 255], 4 * k);
  return { data, width, height };
}
