/**
 * A camera of this device: choice, loss and return, and one plain sentence for everything that can go wrong.
 *
 * Frames are handed on as they come, by the camera's own frame messages where the browser has them, so that a page
 * in the background goes on; elsewhere they are taken from a video element when they are asked for.
 */

import type { Image } from "./messages.js";

/** What a camera is doing. */
export type CameraState =
  | "off"
  /** The browser is asking for permission, or the camera is starting. */
  | "starting"
  | "live"
  /** The device sends nothing: another program holds it, or a switch covers it. It may come back. */
  | "silent"
  /** It was unplugged, or its permission was taken back. */
  | "lost"
  /** It could not be started. */
  | "failed";

/** What to tell people where a camera cannot be started, by the name of the browser's error. */
const SENTENCES: Readonly<Record<string, string>> = {
  NotAllowedError:
    "This page may not use the camera. Allow it in the browser's address bar, then press Start again.",
  NotFoundError: "No camera was found. Plug one in, or drop a recording onto this page.",
  NotReadableError: "The camera is in use by another program. Close that program, then press Start again.",
  OverconstrainedError: "The chosen camera is not there any more. Choose another one, then press Start again.",
  AbortError: "The camera stopped while it was starting. Press Start again.",
  InvalidStateError: "The camera cannot be started from a page that is in the background. Press Start again.",
};
const INSECURE = "Browsers give a camera only to pages on this computer or over HTTPS. Open this page under such an address.";
const EMBEDDED = "The page around this one does not pass the camera on. Open this page in a window of its own.";
const LOST = "The camera was disconnected. Plug it in again: reading then goes on.";
const SILENT = "The camera sends no picture: it is covered, switched off, or in use by another program.";

/** Return the sentence for an error of `getUserMedia`. */
export function cameraSentence(error: unknown): string {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError" && isEmbedded() && !permittedByPolicy()) return EMBEDDED;
  return SENTENCES[name] ?? `The camera cannot be started (${error instanceof Error ? error.message : String(error)}).`;
}

function isEmbedded(): boolean {
  return window.self !== window.top;
}

/** Return whether the page around this one passes the camera on; true where the browser cannot tell. */
function permittedByPolicy(): boolean {
  const policy = (document as { featurePolicy?: { allowsFeature(name: string): boolean } }).featurePolicy;
  return policy?.allowsFeature("camera") ?? true;
}

/** A frame as it comes from the camera; the receiver closes it. */
export interface CameraFrame {
  readonly image: Image;
  /** When it came, in milliseconds of `performance.now()`. */
  readonly came_ms: number;
}

/** What a camera calls. */
export interface CameraListener {
  /** The state changed; the sentence says what to do, "" where there is nothing to say. */
  state(state: CameraState, sentence: string): void;
  /** A frame has come. */
  frame(frame: CameraFrame): void;
}

/** Asks for frames of this many pixels; a browser may give others. */
const WIDTH = 640;
const HEIGHT = 480;
const FPS = 30;

/** One camera. `start` may be called again after `stop`. */
export class Camera {
  /** Shows what the camera sees. */
  readonly video: HTMLVideoElement;
  private state_: CameraState = "off";
  private stream: MediaStream | null = null;
  private reader: ReadableStreamDefaultReader<VideoFrame> | null = null;
  private wanted: string | undefined;
  private attempt = 0;
  private lastTime = -1;

  constructor(private readonly listener: CameraListener) {
    this.video = document.createElement("video");
    this.video.muted = true;
    this.video.playsInline = true;
  }

  get state(): CameraState {
    return this.state_;
  }

  /** Name of the device that is used, for people; "" before it has started. */
  get label(): string {
    return this.stream?.getVideoTracks()[0]?.label ?? "";
  }

  /** Identity of the device that is used. */
  get deviceId(): string {
    return this.stream?.getVideoTracks()[0]?.getSettings().deviceId ?? "";
  }

  /** Whether frames come by themselves; else `grab` takes them. */
  get pushes(): boolean {
    return "MediaStreamTrackProcessor" in globalThis;
  }

  /** The cameras of this device; their names are known only after one was allowed. */
  static async devices(): Promise<{ readonly id: string; readonly label: string }[]> {
    const found = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    return found
      .filter((device) => device.kind === "videoinput" && device.deviceId !== "")
      .map((device, k) => ({ id: device.deviceId, label: device.label || `camera ${k + 1}` }));
  }

  /** Start the camera of this identity, or the browser's own choice. Never rejects: the listener is told. */
  async start(deviceId?: string): Promise<void> {
    this.release();
    this.wanted = deviceId;
    const attempt = ++this.attempt;
    if (navigator.mediaDevices === undefined) {
      this.become("failed", INSECURE);
      return;
    }
    this.become("starting", "");
    try {
      const size = { width: { ideal: WIDTH }, height: { ideal: HEIGHT }, frameRate: { ideal: FPS } };
      const which: MediaTrackConstraints = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: "user" };
      const stream = await navigator.mediaDevices.getUserMedia({ video: { ...size, ...which }, audio: false });
      if (attempt !== this.attempt) {
        for (const track of stream.getTracks()) track.stop(); // stopped while the browser was asking
        return;
      }
      this.attach(stream);
    } catch (error) {
      if (attempt === this.attempt) this.become("failed", cameraSentence(error));
    }
  }

  /** Let the camera go; its light goes out. */
  stop(): void {
    this.attempt++;
    this.release();
    this.become("off", "");
  }

  /** Return the newest picture of the video, null where none has come since the last call; for browsers without frame messages. */
  async grab(): Promise<CameraFrame | null> {
    const { video } = this;
    if (this.state_ !== "live" || video.readyState < video.HAVE_CURRENT_DATA || video.currentTime === this.lastTime) return null;
    this.lastTime = video.currentTime;
    const came_ms = performance.now();
    return { image: await createImageBitmap(video), came_ms };
  }

  private attach(stream: MediaStream): void {
    this.stream = stream;
    const track = stream.getVideoTracks()[0]!;
    this.wanted = track.getSettings().deviceId ?? this.wanted;
    track.addEventListener("ended", () => this.lose(track));
    track.addEventListener("mute", () => this.isCurrent(track) && this.become("silent", SILENT));
    track.addEventListener("unmute", () => this.isCurrent(track) && this.become("live", ""));
    this.video.srcObject = stream;
    void this.video.play().catch(() => undefined); // a page in the background plays when it is shown
    this.become(track.muted ? "silent" : "live", track.muted ? SILENT : "");
    if (this.pushes) void this.pump(track);
  }

  private isCurrent(track: MediaStreamTrack): boolean {
    return this.stream?.getVideoTracks()[0] === track;
  }

  /** Hand on the frames of a track until it ends. */
  private async pump(track: MediaStreamTrack): Promise<void> {
    const reader = new MediaStreamTrackProcessor({ track: track as MediaStreamVideoTrack }).readable.getReader();
    this.reader = reader;
    for (;;) {
      const { done, value } = await reader.read().catch(() => ({ done: true as const, value: undefined }));
      if (done || value === undefined) return;
      if (this.reader !== reader) {
        value.close();
        return;
      }
      this.listener.frame({ image: value, came_ms: performance.now() });
    }
  }

  /** The camera is gone: wait for the same one, or any where it was the only one; no retry loop. */
  private lose(track: MediaStreamTrack): void {
    if (!this.isCurrent(track)) return;
    this.release();
    this.become("lost", LOST);
    const attempt = this.attempt;
    const look = async (): Promise<void> => {
      if (attempt !== this.attempt) {
        navigator.mediaDevices.removeEventListener("devicechange", look);
        return;
      }
      const ids = (await Camera.devices()).map((device) => device.id);
      if (attempt !== this.attempt || !(this.wanted === undefined || ids.includes(this.wanted))) return;
      navigator.mediaDevices.removeEventListener("devicechange", look);
      await this.start(this.wanted);
    };
    navigator.mediaDevices.addEventListener("devicechange", look);
  }

  private release(): void {
    const { reader, stream } = this;
    this.reader = this.stream = null;
    this.lastTime = -1;
    void reader?.cancel().catch(() => undefined);
    for (const track of stream?.getTracks() ?? []) track.stop();
    this.video.srcObject = null;
  }

  private become(state: CameraState, sentence: string): void {
    this.state_ = state;
    this.listener.state(state, sentence);
  }
}
