/** Tests of the camera's frames: each one is delivered or closed. */

import { afterEach, describe, expect, it, vi } from "vitest";
import { Camera, type CameraFrame } from "../camera.js";
import { fakeImage, fakePage, settle } from "./fakes.js";

type FakeFrame = ReturnType<typeof fakeImage>;

describe("a camera that pushes frames", () => {
  afterEach(() => void vi.unstubAllGlobals());

  it("closes the frames that are queued when it is stopped", async () => {
    const streams = fakePage();
    let queue: ReadableStreamDefaultController<FakeFrame>;
    class Processor {
      readonly readable = new ReadableStream<FakeFrame>({ start: (controller) => void (queue = controller) });
    }
    vi.stubGlobal("MediaStreamTrackProcessor", Processor);
    const delivered: CameraFrame[] = [];
    const camera = new Camera({ state: () => undefined, frame: (frame) => void delivered.push(frame) });
    await camera.start();
    const { track } = streams[0]!;
    const stop = track.stop;
    track.stop = () => {
      stop();
      queue.close(); // as browsers do when a track ends
    };
    const [first, ...late] = Array.from({ length: 4 }, fakeImage);
    queue!.enqueue(first!);
    await settle();
    for (const image of late) queue!.enqueue(image);
    camera.stop();
    await settle();
    expect(delivered.map(({ image }) => image)).toEqual([first]);
    expect(late.map(({ isClosed }) => isClosed)).toEqual([true, true, true]);
  });
});
