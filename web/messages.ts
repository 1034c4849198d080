/** Messages between a page and the worker. */

import type { Frame, FrameResult } from "./engine/records.js";

/** Files that the worker loads, and how to interpret their outputs. */
export interface EngineFiles {
  /** ONNX Runtime's WebAssembly file. */
  readonly wasm: string;
  readonly detector: { readonly name: string; readonly url: string };
  /** The model that reads expressions; null if that is not permitted. */
  readonly model: {
    readonly name: string;
    readonly url: string;
    /** By class, the confidence below which a prediction is shown as uncertain. */
    readonly uncertain_below: Readonly<Record<string, number>>;
  } | null;
}

/** An image transferred to the worker, which closes it. */
export type Image = VideoFrame | ImageBitmap;

/** A frame transferred to the worker. */
export type WaitingFrame = Omit<Frame, "picture"> & { readonly image: Image };

export type ToWorker =
  | {
      readonly kind: "open";
      readonly files: EngineFiles;
      readonly smoothing_s: number | undefined;
      /** Request a frame ten times a second: a worker's timers are not throttled like those of a hidden page. */
      readonly ticks: boolean;
    }
  /** Reset the state of all faces for a new session. */
  | { readonly kind: "restart" }
  | ({ readonly kind: "frame" } & WaitingFrame);

/** Processing times of a frame by stage, in milliseconds. */
export interface Stages {
  /** Reading the pixels. */
  readonly pixels_ms: number;
  /** The detector's network. */
  readonly detector_ms: number;
  /** The model that reads expressions. */
  readonly model_ms: number;
  /** Total time since the frame's arrival. */
  readonly total_ms: number;
}

export type FromWorker =
  /** The networks are loaded and have run once. */
  | { readonly kind: "ready"; readonly opened_ms: number }
  | { readonly kind: "result"; readonly result: FrameResult; readonly stages: Stages }
  /** Time for the next frame. */
  | { readonly kind: "tick" }
  /** One frame could not be read; reading continues. */
  | { readonly kind: "skipped"; readonly reason: string }
  /** Reading has failed permanently. */
  | { readonly kind: "failed"; readonly reason: string };
