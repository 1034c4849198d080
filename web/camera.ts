/**
 * A camera of this device, including reconnection and messages for the user in case of errors.
 *
 * Frames are read from the camera's track with `MediaStreamTrackProcessor` if the browser supports it, which also works in
 * background pages. Otherwise they are grabbed from a video element on request.
 */

import type { Image } from "./messages.js";

/** State of a camera. */
export type CameraState =
  | "off"
  /** The browser is asking for permission, or the camera is starting. */
  | "starting"
  | "live"
  /** The device sends no frames, because it is covered or used by another program; it may resume. */
  | "silent"
  /** It was unplugged, or its permission was revoked. */
  | "lost"
  /** It could not be started. */
  | "failed";

/** Messages for the user if a camera cannot be started, by the name of the browser's error. */
const SENTENCES: Readonly<Record<string, string>> = {
  NotAllowedError:
    "This page may not use the camera. Allow it in the browser's address bar, then press Start again.",
  NotFoundError: "No camera was found. Plug one in, then press Start again.",
  NotReadableError: "The camera is in use by another program. Close that program, then press Start again.",
  OverconstrainedError: "The chosen camera is no longer available. Choose another one, then press Start again.",
  AbortError: "The camera stopped while it was starting. Press Start again.",
  InvalidStateError: "The camera cannot be started from a page in the background. Press Start again.",
};
const INSECURE = "Browsers allow cameras only on pages from this computer or over HTTPS. Open this page at such an address.";
const EMBEDDED = "The embedding page does not allow the camera. Open this page in its own window.";
const LOST = "The camera was disconnected. Plug it in again to continue.";
const SILENT = "The camera sends no picture: it is covered, switched off, or in use by another program.";

/** Return the message for an error of `getUserMedia`. */
export function cameraSentence(error: unknown): string {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError" && isEmbedded() && !permittedByPolicy()) return EMBEDDED;
  return SENTENCES[name] ?? `The camera cannot be started (${error instanceof Error ? error.message : String(error)}).`;
}

function isEmbedded(): boolean {
  return window.self !== window.top;
}

/** Return whether the embedding page allows the camera; true if the browser cannot tell. */
function permittedByPolicy(): boolean {
  const policy = (document as { featurePolicy?: { allowsFeature(name: string): boolean } }).featurePolicy;
  return policy?.allowsFeature("camera") ?? true;
}

/** A frame from the camera; the receiver must close it. */
export interface CameraFrame {
  readonly image: Image;
  /** Time of arrival, in milliseconds of `performance.now()`. */
  readonly came_ms: number;
}

/** Callbacks of a camera. */
export interface CameraListener {
  /** The state changed; the sentence tells the user what to do, or is "". */
  state(state: CameraState, sentence: string): void;
  /** A frame has arrived. */
  frame(frame: CameraFrame): void;
}

/** Requested frame size in pixels; browsers may deliver another size. */
const WIDTH = 640;
const HEIGHT = 480;
const FPS = 30;

/** One camera. `start` may be called again after `stop`. */
export class Camera {
  /** Shows the camera's picture. */
  readonly video: HTMLVideoElement;
  private state_: CameraState = "off";
  private stream: MediaStream | null = null;
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

  /** Display name of the device in use; "" before it has started. */
  get label(): string {
    return this.stream?.getVideoTracks()[0]?.label ?? "";
  }

  /** Id of the device in use. */
  get deviceId(): string {
    return this.stream?.getVideoTracks()[0]?.getSettings().deviceId ?? "";
  }

  /** Whether frames are delivered automatically; otherwise call `grab`. */
  get pushes(): boolean {
    return "MediaStreamTrackProcessor" in globalThis;
  }

  /** The cameras of this device; their names are empty until the user has allowed one. */
  static async devices(): Promise<{ readonly id: string; readonly label: string }[]> {
    const found = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    return found
      .filter((device) => device.kind === "videoinput" && device.deviceId !== "")
      .map((device, k) => ({ id: device.deviceId, label: device.label || `camera ${k + 1}` }));
  }

  /** Start the camera with this id, or the browser's default. Never rejects: errors are reported to the listener. */
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
        for (const track of stream.getTracks()) track.stop(); // stopped while the browser was asking for permission
        return;
      }
      this.attach(stream);
    } catch (error) {
      if (attempt === this.attempt) this.become("failed", cameraSentence(error));
    }
  }

  /** Stop and release the camera. */
  stop(): void {
    this.attempt++;
    this.release();
    this.become("off", "");
  }

  /** Return the latest frame of the video, or null if there is no new one; for browsers that do not deliver frames. */
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
    void this.video.play().catch(() => undefined); // in a background page, the video plays once the page is shown
    this.become(track.muted ? "silent" : "live", track.muted ? SILENT : "");
    if (this.pushes) void this.pump(track);
  }

  private isCurrent(track: MediaStreamTrack): boolean {
    return this.stream?.getVideoTracks()[0] === track;
  }

  /**
   * Deliver the frames of a track until it ends.
   *
   * When the camera is stopped, its track ends, and frames that are still queued are read and closed. Cancelling the stream
   * would drop them without closing them.
   */
  private async pump(track: MediaStreamTrack): Promise<void> {
    const reader = new MediaStreamTrackProcessor({ track: track as MediaStreamVideoTrack }).readable.getReader();
    for (;;) {
      const { done, value } = await reader.read().catch(() => ({ done: true as const, value: undefined }));
      if (done || value === undefined) return;
      if (this.isCurrent(track)) this.listener.frame({ image: value, came_ms: performance.now() });
      else value.close();
    }
  }

  /** The camera was disconnected: wait for it to return, or for any camera if it was the only one, without polling. */
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
    const { stream } = this;
    this.stream = null;
    this.lastTime = -1;
    for (const track of stream?.getTracks() ?? []) track.stop();
    this.video.srcObject = null;
  }

  private become(state: CameraState, sentence: string): void {
    this.state_ = state;
    this.listener.state(state, sentence);
  }
}
