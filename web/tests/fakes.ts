/** Stand-ins for what a browser provides, so that the pages' logic runs without one. */

import { vi } from "vitest";
import type { FromWorker, ToWorker, WaitingFrame } from "../messages.js";

/** The worker's script, played by a test. */
export class FakeWorker extends EventTarget {
  static last: FakeWorker;
  readonly received: ToWorker[] = [];

  constructor() {
    super();
    FakeWorker.last = this;
  }

  postMessage(message: ToWorker): void {
    this.received.push(message);
  }

  terminate(): void {
    return;
  }

  say(data: FromWorker): void {
    this.dispatchEvent(Object.assign(new Event("message"), { data }));
  }

  get frames(): WaitingFrame[] {
    return this.received.filter((message) => message.kind === "frame");
  }
}

/** An image that knows whether it was closed. */
export function fakeImage(): ImageBitmap & { isClosed: boolean } {
  const image = { width: 640, height: 480, isClosed: false, close: () => void (image.isClosed = true) };
  return image;
}

/** A camera's stream that knows whether it was stopped. */
export function fakeStream() {
  const track = Object.assign(new EventTarget(), {
    label: "fake camera",
    muted: false,
    isStopped: false,
    getSettings: () => ({ deviceId: "fake" }),
    stop: () => void (track.isStopped = true),
  });
  return { track, getTracks: () => [track], getVideoTracks: () => [track] };
}

export const settle = (): Promise<void> => new Promise((done) => setTimeout(done, 0));

/** Provide a page with a camera and a worker; return the streams that the camera has given. */
export function fakePage(): ReturnType<typeof fakeStream>[] {
  const streams: ReturnType<typeof fakeStream>[] = [];
  const getUserMedia = (): Promise<unknown> => {
    streams.push(fakeStream());
    return Promise.resolve(streams.at(-1));
  };
  const video = { play: () => Promise.resolve(), readyState: 0, HAVE_CURRENT_DATA: 2 };
  const page = { createElement: () => video, baseURI: "http://127.0.0.1/", hidden: false };
  vi.stubGlobal("document", Object.assign(new EventTarget(), page));
  vi.stubGlobal("navigator", { mediaDevices: Object.assign(new EventTarget(), { getUserMedia, enumerateDevices: () => Promise.resolve([]) }) });
  vi.stubGlobal("Worker", FakeWorker);
  vi.stubGlobal("MIEN_WORKER", "worker.js");
  vi.stubGlobal("MIEN_RUNTIME", "runtime.wasm");
  return streams;
}
