/** Page-side interface of the worker: processes one frame at a time, always the latest, and counts dropped frames. */

import { LONGEST_INTERVAL_S } from "./engine/constants.js";
import type { FrameResult } from "./engine/records.js";
import type { EngineFiles, FromWorker, Stages, ToWorker, WaitingFrame } from "./messages.js";

/** Callbacks of the reader. */
export interface FaceReaderListener {
  ready(opened_ms: number): void;
  result(result: FrameResult, stages: Stages): void;
  /** Reading has failed permanently. */
  failed(reason: string): void;
  tick(): void;
}

/** Maximum share of a CPU core used for readings, so that phones do not overheat. */
const DUTY = 1 / 3;
/** Maximum wait between readings: at least five per second, unless the device is slower. */
const LONGEST_WAIT_MS = 200;

/** Reads frames in the worker. */
export class FaceReader {
  private readonly worker: Worker;
  private waiting: WaitingFrame | null = null;
  /** Time of dropped frames in seconds, which is added to the next frame's interval; a frame represents at most a second. */
  private lost_s = 0;
  private busy = false;
  private isReady = false;
  private hasFailed = false;
  private notBefore_ms = 0;
  private idle: (() => void)[] = [];
  /** Whether the frame in the worker belongs to a session that has ended. */
  private isStale = false;
  /** Number of frames that were replaced by a newer one or arrived too early. */
  dropped = 0;
  /** Minimum time between readings in milliseconds. */
  shortest_ms = 0;

  constructor(
    workerUrl: string | URL,
    private readonly listener: FaceReaderListener,
  ) {
    this.worker = new Worker(workerUrl, { type: "module", name: "mien" });
    this.worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => this.hear(data));
    this.worker.addEventListener("error", (event) => this.fail(event.message || "the worker's script cannot be loaded"));
  }

  open(files: EngineFiles, smoothing_s: number | undefined, ticks: boolean): void {
    this.send({ kind: "open", files, smoothing_s, ticks });
  }

  /** Reset the state of all faces and the counts. */
  restart(): void {
    this.clear();
    this.dropped = 0;
    this.isStale = this.busy;
    this.send({ kind: "restart" });
  }

  /** Offer a live frame; it is read unless a newer one replaces it first. */
  offer(frame: WaitingFrame): void {
    if (this.waiting !== null) this.drop(this.waiting);
    if (performance.now() < this.notBefore_ms && this.isReady) {
      this.drop(frame);
      return;
    }
    this.waiting = frame;
    this.next();
  }

  /** Read a frame without dropping it; resolves when it has been read, or reading has failed. */
  async read(frame: WaitingFrame): Promise<void> {
    while (!this.hasFailed && (this.busy || !this.isReady)) await new Promise<void>((resolve) => this.idle.push(resolve));
    if (this.hasFailed) {
      frame.image.close();
      return;
    }
    this.start(frame);
    await new Promise<void>((resolve) => this.idle.push(resolve));
  }

  /** Drop the waiting frame. */
  clear(): void {
    this.waiting?.image.close();
    this.waiting = null;
    this.lost_s = 0;
  }

  /** Terminate the worker. */
  close(): void {
    this.clear();
    this.worker.terminate();
  }

  private drop(frame: WaitingFrame): void {
    this.dropped++;
    this.lost_s += frame.interval_s;
    frame.image.close();
    if (frame === this.waiting) this.waiting = null;
  }

  private next(): void {
    if (this.busy || !this.isReady || this.waiting === null) return;
    const { waiting } = this;
    this.waiting = null;
    this.start({ ...waiting, interval_s: Math.min(waiting.interval_s + this.lost_s, LONGEST_INTERVAL_S) });
    this.lost_s = 0;
  }

  private start(frame: WaitingFrame): void {
    this.busy = true;
    this.send({ kind: "frame", ...frame }, [frame.image]);
  }

  private hear(message: FromWorker): void {
    switch (message.kind) {
      case "ready":
        this.isReady = true;
        this.lost_s = 0; // nobody watched while the networks were being loaded
        this.listener.ready(message.opened_ms);
        this.rest();
        break;
      case "result":
        this.pace(message.stages.total_ms);
        if (!this.isStale) this.listener.result(message.result, message.stages);
        this.isStale = false;
        this.rest();
        break;
      case "skipped":
        this.isStale = false;
        this.rest();
        break;
      case "failed":
        this.fail(message.reason);
        break;
      case "tick":
        this.listener.tick();
        break;
    }
  }

  /** Delay the next reading so that the share of a CPU core is kept. */
  private pace(total_ms: number): void {
    const pause_ms = Math.min(total_ms / DUTY, LONGEST_WAIT_MS) - total_ms;
    this.notBefore_ms = performance.now() + Math.max(pause_ms, this.shortest_ms - total_ms, 0);
  }

  private rest(): void {
    this.busy = false;
    this.wake();
    this.next();
  }

  private fail(reason: string): void {
    this.hasFailed = true;
    this.listener.failed(reason);
    this.clear();
    this.wake();
  }

  /** Continue the calls of `read`. */
  private wake(): void {
    const idle = this.idle;
    this.idle = [];
    for (const resolve of idle) resolve();
  }

  private send(message: ToWorker, transfer: Transferable[] = []): void {
    this.worker.postMessage(message, transfer);
  }
}
