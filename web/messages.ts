/** What a page and the worker say to one another. */

import type { Frame, FrameResult } from "./engine/records.js";

/** Files that the worker loads, and how their answers are read. */
export interface EngineFiles {
  /** ONNX Runtime's WebAssembly file. */
  readonly wasm: string;
  readonly detector: { readonly name: string; readonly url: string };
  /** The model that reads expressions; null where that is not permitted, and it is not loaded then. */
  readonly model: {
    readonly name: string;
    readonly url: string;
    /** By class, the confidence below which an answer is shown as uncertain. */
    readonly uncertain_below: Readonly<Record<string, number>>;
  } | null;
}

/** A picture on its way to the worker, which closes it. */
export type Image = VideoFrame | ImageBitmap;

/** A frame on its way to the worker. */
export type WaitingFrame = Omit<Frame, "picture"> & { readonly image: Image };

export type ToWorker =
  | {
      readonly kind: "open";
      readonly files: EngineFiles;
      readonly smoothing_s: number | undefined;
      /** Ask for a frame ten times a second: timers of a worker go on where those of a hidden page do not. */
      readonly ticks: boolean;
    }
  /** Forget all faces: a new session begins. */
  | { readonly kind: "restart" }
  | ({ readonly kind: "frame" } & WaitingFrame);

/** Where the time of a frame went, in milliseconds. */
export interface Stages {
  /** Getting the pixels. */
  readonly pixels_ms: number;
  /** The detector's network. */
  readonly detector_ms: number;
  /** The model that reads expressions. */
  readonly model_ms: number;
  /** All of it, from the frame's arrival. */
  readonly total_ms: number;
}

export type FromWorker =
  /** The networks are loaded and have run once. */
  | { readonly kind: "ready"; readonly opened_ms: number }
  | { readonly kind: "result"; readonly result: FrameResult; readonly stages: Stages }
  /** Time for the next frame. */
  | { readonly kind: "tick" }
  /** One frame could not be read; the next one may be. */
  | { readonly kind: "skipped"; readonly reason: string }
  /** Nothing can be read. */
  | { readonly kind: "failed"; readonly reason: string };
