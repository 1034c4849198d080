/** The worker, which owns the networks and a canvas. It receives frames and sends only records. */

import { DETECTOR } from "./engine/constants.js";
import { DECODERS } from "./engine/decoders.js";
import { type Decoder, NetworkDetector, type RunDetector } from "./engine/detector.js";
import { type ExpressionReader, Pipeline, type ReadFaces } from "./engine/pipeline.js";
import type { Picture } from "./engine/records.js";
import type { EngineFiles, FromWorker, Image, ToWorker } from "./messages.js";
import { configureRuntime, openDetector, openReader } from "./runtime.js";

/** Maximum longer side in pixels, to which pictures are scaled down; larger canvases are not supported everywhere. */
const LONGEST_SIDE = 4096;

const TICK_MS = 100;

const scope = self as unknown as {
  postMessage(message: FromWorker): void;
  addEventListener(type: "message", listener: (event: MessageEvent<ToWorker>) => void): void;
};

const canvas = new OffscreenCanvas(640, 480);
const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false })!;

const spent = { detector_ms: 0, model_ms: 0 };
let restart: (() => Pipeline) | null = null;
let pipeline: Pipeline | null = null;
let last: Promise<void> = Promise.resolve();

scope.addEventListener("message", ({ data }) => {
  // messages are processed in order: a frame is finished before the next message
  last = last.then(() => handle(data));
});

async function handle(message: ToWorker): Promise<void> {
  switch (message.kind) {
    case "open":
      if (message.ticks) setInterval(() => scope.postMessage({ kind: "tick" }), TICK_MS);
      await open(message.files, message.smoothing_s);
      break;
    case "restart":
      pipeline = restart?.() ?? null;
      break;
    case "frame":
      await read(message);
      break;
  }
}

async function open(files: EngineFiles, smoothing_s: number | undefined): Promise<void> {
  const started = performance.now();
  try {
    configureRuntime(files.wasm);
    const decoder = DECODERS[files.detector.name];
    if (decoder === undefined) throw new Error(`there is no decoder for the face detector ${files.detector.name}`);
    const { model } = files;
    // the detector is small, so the runtime starts with it while the model is still being downloaded
    const coming = model === null ? null : load(model.url);
    coming?.catch(() => undefined); // handled below
    const runDetector = timed(await openDetector(await load(files.detector.url), decoder.outputs), "detector_ms");
    const read: ReadFaces | null = coming === null ? null : timed(await openReader(await coming), "model_ms");
    const reader: ExpressionReader | null =
      model === null || read === null ? null : { read, uncertainBelow: model.uncertain_below };
    restart = () => new Pipeline(new NetworkDetector(runDetector, decoder), reader, randomBelow, smoothing_s);
    pipeline = restart();
    await warmUp(runDetector, decoder, read);
    scope.postMessage({ kind: "ready", opened_ms: performance.now() - started });
  } catch (error) {
    scope.postMessage({ kind: "failed", reason: reasonOf(error) });
  }
}

/** Run each network once at the most frequent sizes, because the first run at a size allocates its memory. */
async function warmUp(runDetector: RunDetector, decoder: Decoder, read: ReadFaces | null): Promise<void> {
  const side = DETECTOR.window;
  const data = decoder.isGrey ? new Uint8Array(side * side) : new Float32Array(3 * side * side);
  await runDetector({ data, width: side, height: side });
  await read?.(new Uint8Array(48 * 48), 1);
}

async function load(url: string): Promise<Uint8Array> {
  const answer = await fetch(url, { credentials: "same-origin" });
  if (!answer.ok) throw new Error(`${new URL(url, self.location.href).pathname} cannot be loaded (${answer.status})`);
  return new Uint8Array(await answer.arrayBuffer());
}

async function read(message: Extract<ToWorker, { kind: "frame" }>): Promise<void> {
  const { index, t_s, interval_s, is_new_scene, image } = message;
  const started = performance.now();
  spent.detector_ms = spent.model_ms = 0;
  try {
    const { picture, scale } = pixelsOf(image);
    const pixels_ms = performance.now() - started;
    if (pipeline === null) throw new Error("the networks are not loaded");
    const found = await pipeline.update({ index, t_s, interval_s, is_new_scene, picture });
    const result = scale === 1 ? found : enlarged(found, 1 / scale);
    scope.postMessage({ kind: "result", result, stages: { pixels_ms, ...spent, total_ms: performance.now() - started } });
  } catch (error) {
    scope.postMessage({ kind: "skipped", reason: reasonOf(error) });
  } finally {
    image.close();
  }
}

/** Return the pixels of an image and their scale. */
function pixelsOf(image: Image): { picture: Picture; scale: number } {
  const natural = "displayWidth" in image ? [image.displayWidth, image.displayHeight] : [image.width, image.height];
  const scale = Math.min(1, LONGEST_SIDE / Math.max(...natural));
  const [width, height] = natural.map((side) => Math.max(1, Math.round(side * scale))) as [number, number];
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  context.drawImage(image, 0, 0, width, height);
  return { picture: { data: context.getImageData(0, 0, width, height).data, width, height }, scale };
}

/** Return a result scaled by `zoom` to pixels of a larger picture. */
function enlarged(result: Awaited<ReturnType<Pipeline["update"]>>, zoom: number): typeof result {
  const faces = result.faces.map((face) => ({
    ...face,
    box: { x: face.box.x * zoom, y: face.box.y * zoom, w: face.box.w * zoom, h: face.box.h * zoom },
    landmarks: face.landmarks.map((value) => value * zoom),
  }));
  return { ...result, width: Math.round(result.width * zoom), height: Math.round(result.height * zoom), faces };
}

/** Wrap a function so that its run time is added to a stage. */
function timed<A extends unknown[], R>(run: (...given: A) => Promise<R>, stage: keyof typeof spent): (...given: A) => Promise<R> {
  return async (...given) => {
    const started = performance.now();
    try {
      return await run(...given);
    } finally {
      spent[stage] += performance.now() - started;
    }
  };
}

/** Return a cryptographically random integer below `below`, for unpredictable names. */
function randomBelow(below: number): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]! % below;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
