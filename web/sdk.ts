/**
 * Facial-expression analytics in any page, on the visitor's own device.
 *
 * `MienCamera` reads a camera or files and reports results as typed events; `<mien-learner>` is a custom element for it.
 * No picture leaves the page: the worker sends only records, and only to the page that started it.
 *
 * @module
 */

import { Camera, type CameraState } from "./camera.js";
import type { AffectValues, TrendPoint } from "./engine/affect.js";
import { COLOURS, EMOTIONS, LONGEST_INTERVAL_S } from "./engine/constants.js";
import type { FaceReading, FrameResult } from "./engine/records.js";
import { percent, words } from "./engine/records.js";
import { FaceReader } from "./face_reader.js";
import type { EngineFiles, Stages } from "./messages.js";
import { recordedFrames } from "./recording.js";
import { Session } from "./session.js";

export type { AffectValues, TrendPoint } from "./engine/affect.js";
export type { Box, FaceReading, FrameResult, HeadPose, Landmarks } from "./engine/records.js";
export type { CameraState } from "./camera.js";
export type { EngineFiles, Stages } from "./messages.js";
export { COLOURS, EMOTIONS, percent, words };

declare const MIEN_WORKER: string;
declare const MIEN_RUNTIME: string;

/** Options of a `MienCamera`. */
export interface MienOptions {
  /** URL of the folder with the worker and the runtime; by default the folder of this script. */
  readonly base?: string | URL;
  /** The face detector. */
  readonly detector: EngineFiles["detector"];
  /** The model that reads expressions; null to read only presence and head direction. */
  readonly model: EngineFiles["model"];
  /** Time constant of the smoothing in seconds; 0 for none. */
  readonly smoothing_s?: number;
  /** Name of the policy rule that permits reading; written into the summary. */
  readonly rule?: string;
}

/** State of a `MienCamera`. */
export type MienState =
  /** The networks are being loaded, or the camera is starting. */
  | "starting"
  | "reading"
  | "paused"
  | "stopped"
  /** The camera sends no frames, was disconnected or could not be started; the sentence tells the user what to do. */
  | "trouble"
  /** Reading has failed permanently on this page; the camera is released, and nothing can be started. */
  | "failed";

/** A change of state. */
export interface StateChange {
  readonly state: MienState;
  readonly camera: CameraState;
  /** Message for the user; may be "". */
  readonly sentence: string;
}

/** Results and statistics after a frame. */
export interface Reading {
  /** The faces of the frame. */
  readonly result: FrameResult;
  /** Processing times of the frame. */
  readonly stages: Stages;
  /** Share of face time by class, in the order of `EMOTIONS`; all 0 before the first face. */
  readonly distribution: readonly number[];
  readonly affect: AffectValues;
  /** The last ten seconds, oldest first. */
  readonly trend: readonly TrendPoint[];
  /** Whether a head currently faces the screen; null if there is no face or no known pose. */
  readonly facingNow: boolean | null;
  /** Share of face time facing the screen, 0 to 1; NaN while no head pose is known. */
  readonly facingShare: number;
  /** Share of the watched time with a face in view, 0 to 1; NaN before any time was watched. */
  readonly presence: number;
  /** Share of the time covered by frames, 0 to 1. */
  readonly coverage: number;
  readonly elapsed_s: number;
  readonly frames: number;
  readonly captured: number;
  readonly dropped: number;
  readonly capturedFps: number;
  readonly processedFps: number;
}

/** Result of a session; available until the page is closed. */
export interface Outcome {
  readonly id: string;
  /** Summary in the format of the desktop version's `summary.json`. */
  readonly summary: Record<string, unknown>;
  /** All readings in the format of the desktop version's `observations.csv`. */
  readonly observations: Blob;
  /** Totals of the session as an xAPI statement with an anonymous account, without data of single frames or faces. */
  readonly statement: Record<string, unknown>;
}

/** Types of `event.detail` by event name. */
export interface MienEvents {
  /** The networks are loaded; the loading time in milliseconds. */
  readonly ready: number;
  readonly state: StateChange;
  readonly reading: Reading;
  /** A session has begun: its id and its source. */
  readonly begin: { readonly id: string; readonly source: string };
  /** A frame of a recording for display, and the progress, 0 to 1. */
  readonly recorded: { readonly image: ImageBitmap; readonly progress: number };
  readonly end: Outcome;
}

/**
 * Reads faces from a camera, a recording or pictures.
 *
 * Networks are loaded once by the constructor. Sessions begin with `start` or `read` and end with `stop`.
 */
export class MienCamera extends EventTarget {
  private readonly camera: Camera;
  private readonly reader: FaceReader;
  private readonly options: MienOptions;
  private session: Session | null = null;
  private current: StateChange = { state: "stopped", camera: "off", sentence: "" };
  private began_ms = 0;
  private last_s: number | null = null;
  private index = 0;
  private recording = 0;
  private isReady = false;

  /** Load the networks. */
  constructor(options: MienOptions) {
    super();
    this.options = options;
    const base = new URL(options.base ?? ".", import.meta.url);
    this.camera = new Camera({
      state: (state, sentence) => this.cameraBecame(state, sentence),
      frame: ({ image, came_ms }) => this.take(image, came_ms),
    });
    this.reader = new FaceReader(new URL(MIEN_WORKER, base), {
      ready: (opened_ms) => {
        this.isReady = true;
        this.emit("ready", opened_ms);
        if (this.current.state === "starting" && this.session !== null) this.become("reading", "");
      },
      result: (result, stages) => this.took(result, stages),
      failed: (reason) => this.fail(reason),
      tick: () => void this.grab(),
    });
    const { detector, model } = options;
    const wasm = new URL(MIEN_RUNTIME, base).href;
    const files = { wasm, detector: located(detector), model: model === null ? null : located(model) };
    this.reader.open(files, options.smoothing_s, !this.camera.pushes);
    document.addEventListener("visibilitychange", this.slowDown);
  }

  /** The video element with the camera's picture; insert it into the page. */
  get video(): HTMLVideoElement {
    return this.camera.video;
  }

  /** The current state. */
  get state(): StateChange {
    return this.current;
  }

  /** Id of the camera in use. */
  get deviceId(): string {
    return this.camera.deviceId;
  }

  /** Return the cameras of this device; their names are empty until the user has allowed one. */
  static devices(): Promise<{ readonly id: string; readonly label: string }[]> {
    return Camera.devices();
  }

  /** Call `listener` for each event of a type; return a function that removes the listener. */
  on<K extends keyof MienEvents>(type: K, listener: (detail: MienEvents[K]) => void): () => void {
    const hear = (event: Event): void => listener((event as CustomEvent<MienEvents[K]>).detail);
    this.addEventListener(type, hear);
    return () => this.removeEventListener(type, hear);
  }

  /**
   * Start a session with a camera, by default the browser's choice. A running session continues with the new camera.
   *
   * If reading has failed, only the state `failed` is reported again.
   */
  async start(deviceId?: string): Promise<void> {
    if (this.failsAgain()) return;
    this.recording++;
    await this.camera.start(deviceId);
  }

  /**
   * End a running session and read files: one recording, or pictures sorted by name. Resolves when all files are read.
   *
   * If reading has failed, only the state `failed` is reported again.
   */
  async read(files: readonly File[]): Promise<void> {
    if (this.failsAgain()) return;
    this.stop();
    const mine = ++this.recording;
    const name = files.length === 1 ? files[0]!.name : `${files.length} pictures`;
    try {
      for await (const { image, progress, ...frame } of recordedFrames(files)) {
        if (mine !== this.recording) {
          image.close();
          return;
        }
        if (this.session === null) {
          this.begin(name);
          this.become(this.isReady ? "reading" : "starting", "");
        }
        while (this.current.state === "paused" && mine === this.recording) await new Promise((done) => setTimeout(done, 100));
        this.session!.captured++;
        this.session!.capturedRate.tick(performance.now());
        this.emit("recorded", { image, progress });
        await this.reader.read({ ...frame, image });
      }
      if (mine === this.recording) this.stop();
    } catch (error) {
      if (mine === this.recording) {
        this.end();
        this.become("trouble", error instanceof Error ? error.message : String(error));
      }
    }
  }

  /** Skip frames until `resume`; the time counts as not watched. */
  pause(): void {
    if (this.session === null || this.current.state === "paused") return;
    this.reader.clear();
    this.become("paused", "");
  }

  resume(): void {
    if (this.current.state !== "paused") return;
    this.become("reading", "");
    if (this.camera.state !== "off" && this.camera.state !== "live") this.cameraBecame(this.camera.state, "");
  }

  /** Reset the statistics on screen; files are not affected. */
  reset(): void {
    this.session?.resetScreen();
  }

  /** Return the result so far of the running session; null if there is none. */
  outcome(): Outcome | null {
    const { session } = this;
    if (session === null) return null;
    return { id: session.id, summary: session.summary(this.reader.dropped), observations: session.observations(), statement: session.statement() };
  }

  /** End the session and release the camera. */
  stop(): void {
    this.release();
    if (this.current.state !== "failed") this.become("stopped", "");
  }

  /** Release the camera and the worker permanently. */
  close(): void {
    this.stop();
    document.removeEventListener("visibilitychange", this.slowDown);
    this.reader.close();
  }

  /** Limit a background page to five readings a second. */
  private readonly slowDown = (): void => {
    this.reader.shortest_ms = document.hidden ? 200 : 0;
  };

  private begin(source: string): void {
    const { detector, model, rule } = this.options;
    this.reader.restart();
    this.session = new Session({
      source,
      detector: detector.name,
      model: model?.name ?? "no model",
      policy: model === null ? "observables" : "full",
      rule: rule ?? "",
    });
    this.index = 0;
    this.last_s = null;
    this.began_ms = performance.now();
    this.emit("begin", { id: this.session.id, source });
  }

  private release(): void {
    this.recording++;
    this.camera.stop();
    this.end();
  }

  /** Reading has failed: end the session, release the camera and say why. */
  private fail(reason: string): void {
    if (this.current.state === "failed") return;
    const sentence = `Faces cannot be read on this page: ${reason}. Reload the page to try again.`;
    this.current = { state: "failed", camera: "off", sentence }; // first, so that listeners cannot start a session
    this.release();
    this.become("failed", sentence);
  }

  /** Report a failure again; return whether there was one. */
  private failsAgain(): boolean {
    const { state, sentence } = this.current;
    if (state === "failed") this.become("failed", sentence);
    return state === "failed";
  }

  private end(): void {
    const outcome = this.outcome();
    this.session = null;
    this.reader.clear();
    if (outcome !== null) this.emit("end", outcome);
  }

  private cameraBecame(state: CameraState, sentence: string): void {
    if (state === "off" || this.current.state === "failed") return;
    if (state === "live" && this.session === null) this.begin(this.camera.label || "camera");
    if (this.current.state === "paused") return;
    const shown = { starting: "starting", live: this.isReady ? "reading" : "starting" } as const;
    this.become(state === "starting" || state === "live" ? shown[state] : "trouble", sentence);
  }

  private async grab(): Promise<void> {
    const frame = await this.camera.grab();
    if (frame !== null) this.take(frame.image, frame.came_ms);
  }

  private take(image: VideoFrame | ImageBitmap, came_ms: number): void {
    const { session } = this;
    if (session === null || this.current.state === "paused" || this.current.state === "failed") {
      image.close();
      this.last_s = session === null ? null : (came_ms - this.began_ms) / 1000;
      return;
    }
    const t_s = Math.max(0, (came_ms - this.began_ms) / 1000, this.last_s === null ? 0 : this.last_s + 1e-3);
    const interval_s = Math.min(this.last_s === null ? t_s : t_s - this.last_s, LONGEST_INTERVAL_S);
    this.last_s = t_s;
    session.captured++;
    session.capturedRate.tick(came_ms);
    this.reader.offer({ index: this.index++, t_s, interval_s, is_new_scene: false, image });
  }

  private took(result: FrameResult, stages: Stages): void {
    const { session } = this;
    if (session === null) return;
    session.update(result);
    const { tally } = session;
    const now_ms = performance.now();
    this.emit("reading", {
      result,
      stages,
      distribution: session.distribution,
      affect: session.affectNow,
      trend: session.trendPoints,
      facingNow: tally.facingNow,
      facingShare: tally.facingShare,
      presence: tally.presenceWhileWatched,
      coverage: tally.coverage,
      elapsed_s: tally.elapsed_s,
      frames: tally.frames,
      captured: session.captured,
      dropped: this.reader.dropped,
      capturedFps: session.capturedRate.perSecond(now_ms),
      processedFps: session.processedRate.perSecond(now_ms),
    });
  }

  private become(state: MienState, sentence: string): void {
    this.current = { state, camera: this.camera.state, sentence };
    this.emit("state", this.current);
  }

  private emit<K extends keyof MienEvents>(type: K, detail: MienEvents[K]): void {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** Return a network with an absolute URL, because the worker's base URL may differ from the page's. */
function located<T extends { readonly url: string }>(network: T): T {
  return { ...network, url: new URL(network.url, document.baseURI).href };
}

/** Return the face nearest to the camera, or null if there is none. */
export function nearest(result: FrameResult): FaceReading | null {
  return result.faces.reduce<FaceReading | null>(
    (best, face) => (best === null || face.box.w * face.box.h > best.box.w * best.box.h ? face : best),
    null,
  );
}
