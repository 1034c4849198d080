/**
 * Facial-expression analytics in any page, on the visitor's own device.
 *
 * `MienCamera` reads a camera or files and tells a page with typed events; `<mien-learner>` is a small ready-made view.
 * No picture leaves the page: the worker that sees it sends records, and only to the page that started it.
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

/** How a `MienCamera` is set up. */
export interface MienOptions {
  /** Folder of Mien's own files (the worker and the runtime); the folder of this script if not given. */
  readonly base?: string | URL;
  /** The networks. */
  readonly detector: EngineFiles["detector"];
  /** The model that reads expressions; null to read presence and head direction alone. */
  readonly model: EngineFiles["model"];
  /** Time constant of the smoothing in seconds; 0 for none. */
  readonly smoothing_s?: number;
  /** Name of the rule that permits this; it is written into the summary. */
  readonly rule?: string;
}

/** What is happening. */
export type MienState =
  /** The networks are being loaded, or the camera is starting. */
  | "starting"
  | "reading"
  | "paused"
  | "stopped"
  /** The camera sends nothing, is gone, or could not be started; the sentence says what to do. */
  | "trouble"
  /** Nothing can be read on this page. */
  | "failed";

/** A change of state. */
export interface StateChange {
  readonly state: MienState;
  readonly camera: CameraState;
  /** What to tell people, "" where there is nothing to say. */
  readonly sentence: string;
}

/** Everything that is known after a frame. */
export interface Reading {
  /** The newest frame's faces. */
  readonly result: FrameResult;
  /** Where the time of this frame went. */
  readonly stages: Stages;
  /** Share of face time by class, in the order of `EMOTIONS`; all 0 before the first face. */
  readonly distribution: readonly number[];
  readonly affect: AffectValues;
  /** The last ten seconds, oldest first. */
  readonly trend: readonly TrendPoint[];
  /** Whether a head faces the screen now; null where nobody is there or no pose is known. */
  readonly facingNow: boolean | null;
  /** Share of face time facing the screen; NaN before there is any. */
  readonly facingShare: number;
  /** Share of the watched time in which a face was there; NaN before any time has passed. */
  readonly presence: number;
  /** Share of the time for which there are frames. */
  readonly coverage: number;
  readonly elapsed_s: number;
  readonly frames: number;
  readonly captured: number;
  readonly dropped: number;
  readonly capturedFps: number;
  readonly processedFps: number;
}

/** What a session leaves behind; it lasts until the page is closed. */
export interface Outcome {
  readonly id: string;
  /** As the desktop's `summary.json` has it. */
  readonly summary: Record<string, unknown>;
  /** Every reading, as the desktop's `observations.csv` has it. */
  readonly observations: Blob;
  /** The session's sums as an xAPI statement with an anonymous account; nothing of a frame or a face. */
  readonly statement: Record<string, unknown>;
}

/** The events of a `MienCamera`, by name: what `event.detail` holds. */
export interface MienEvents {
  /** The networks are loaded; the milliseconds that took. */
  readonly ready: number;
  readonly state: StateChange;
  readonly reading: Reading;
  /** A session has begun: its name, and what it reads. */
  readonly begin: { readonly id: string; readonly source: string };
  /** A frame of a recording, to be shown; and how much has been read, 0 to 1. */
  readonly recorded: { readonly image: ImageBitmap; readonly progress: number };
  readonly end: Outcome;
}

/**
 * Reads faces from a camera, a recording or pictures.
 *
 * Networks are loaded once, when it is made, and kept for life; sessions begin with `start` or `read`, and end with `stop`.
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
      failed: (reason) => this.become("failed", `Faces cannot be read on this page: ${reason}.`),
      tick: () => void this.grab(),
    });
    const { detector, model } = options;
    const wasm = new URL(MIEN_RUNTIME, base).href;
    const files = { wasm, detector: located(detector), model: model === null ? null : located(model) };
    this.reader.open(files, options.smoothing_s, !this.camera.pushes);
    document.addEventListener("visibilitychange", this.slowDown);
  }

  /** The video element that shows what the camera sees; put it where it should be. */
  get video(): HTMLVideoElement {
    return this.camera.video;
  }

  /** What is happening now. */
  get state(): StateChange {
    return this.current;
  }

  /** Identity of the camera in use. */
  get deviceId(): string {
    return this.camera.deviceId;
  }

  /** Return the cameras of this device; they have names once one of them was allowed. */
  static devices(): Promise<{ readonly id: string; readonly label: string }[]> {
    return Camera.devices();
  }

  /** Call `listener` with each event of a name; return a function that ends it. */
  on<K extends keyof MienEvents>(type: K, listener: (detail: MienEvents[K]) => void): () => void {
    const hear = (event: Event): void => listener((event as CustomEvent<MienEvents[K]>).detail);
    this.addEventListener(type, hear);
    return () => this.removeEventListener(type, hear);
  }

  /** Start a session with a camera; without an identity, the browser chooses. A session that runs goes on with the new camera. */
  async start(deviceId?: string): Promise<void> {
    this.recording++;
    await this.camera.start(deviceId);
  }

  /** Read files: one recording, or pictures by name. A session that runs ends first. Resolves when all of it is read. */
  async read(files: readonly File[]): Promise<void> {
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

  /** Pass frames over until `resume`; that time counts as not watched. */
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

  /** Let the statistics on screen restart; files keep everything. */
  reset(): void {
    this.session?.resetScreen();
  }

  /** Return what there is of the session that runs; null without one. */
  outcome(): Outcome | null {
    const { session } = this;
    if (session === null) return null;
    return { id: session.id, summary: session.summary(this.reader.dropped), observations: session.observations(), statement: session.statement() };
  }

  /** End the session and let the camera go. */
  stop(): void {
    this.recording++;
    this.camera.stop();
    this.end();
    if (this.current.state !== "failed") this.become("stopped", "");
  }

  /** Let everything go for good. */
  close(): void {
    this.stop();
    document.removeEventListener("visibilitychange", this.slowDown);
    this.reader.close();
  }

  /** A page in the background needs no more than five readings a second. */
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

  private end(): void {
    const outcome = this.outcome();
    this.session = null;
    this.reader.clear();
    if (outcome !== null) this.emit("end", outcome);
  }

  private cameraBecame(state: CameraState, sentence: string): void {
    if (state === "off") return;
    if (state === "live" && this.session === null) this.begin(this.camera.label || "camera");
    if (this.current.state === "failed" || this.current.state === "paused") return;
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

/** Return a network whose address is complete: the worker, which loads it, may lie elsewhere than the page. */
function located<T extends { readonly url: string }>(network: T): T {
  return { ...network, url: new URL(network.url, document.baseURI).href };
}

/** Return the face that is nearest to the camera, null where there is none. */
export function nearest(result: FrameResult): FaceReading | null {
  return result.faces.reduce<FaceReading | null>(
    (best, face) => (best === null || face.box.w * face.box.h > best.box.w * best.box.h ? face : best),
    null,
  );
}
