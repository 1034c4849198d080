/** The networks in ONNX Runtime (wasm, one thread), with one session each. Used only by the worker. */

import { InferenceSession, Tensor, env } from "onnxruntime-web/wasm";
import { CROP } from "./engine/constants.js";
import type { Outputs, RunDetector } from "./engine/detector.js";
import type { ReadFaces } from "./engine/pipeline.js";

/** Set the URL of ONNX Runtime's WebAssembly file; must be called before a session is created. */
export function configureRuntime(wasmUrl: string): void {
  env.wasm.wasmPaths = { wasm: wasmUrl };
  env.wasm.numThreads = 1;
  env.wasm.proxy = false;
  env.logLevel = "error";
}

async function openSession(model: Uint8Array): Promise<InferenceSession> {
  // the networks were optimised in Python (mien/web/networks.py); doing it here would take a third of the start-up time
  return InferenceSession.create(model, { executionProviders: ["wasm"], graphOptimizationLevel: "disabled", enableCpuMemArena: true });
}

/** Open a detector's network, which takes inputs of any size and returns the named outputs. */
export async function openDetector(model: Uint8Array, outputs: readonly string[]): Promise<RunDetector> {
  const session = await openSession(model);
  const input = session.inputNames[0]!;
  const missing = outputs.filter((name) => !session.outputNames.includes(name));
  if (missing.length > 0) throw new Error(`the face detector's file has no output ${missing[0]}`);
  return async ({ data, width, height }) => {
    const levels =
      data instanceof Uint8Array ? new Tensor("uint8", data, [height, width, 1]) : new Tensor("float32", data, [1, 3, height, width]);
    const found = await session.run({ [input]: levels }, [...outputs]);
    return Object.fromEntries(outputs.map((name) => [name, found[name]!.data as Float32Array])) satisfies Outputs;
  };
}

/** Open a model bundle, which maps crops to seven probabilities each. */
export async function openReader(model: Uint8Array): Promise<ReadFaces> {
  const session = await openSession(model);
  return async (crops, count) => {
    const faces = new Tensor("uint8", crops, [count, 1, CROP.size, CROP.size]);
    return (await session.run({ faces }, ["probabilities"]))["probabilities"]!.data as Float32Array;
  };
}
