/** Tests of the page's side of the worker: what a frame represents, and what happens when reading fails. */

import { beforeEach, describe, expect, it, vi } from "vitest";
import { FaceReader } from "../face_reader.js";
import type { WaitingFrame } from "../messages.js";
import { FakeWorker, fakeImage, fakePage, settle } from "./fakes.js";

const STAGES = { pixels_ms: 0, detector_ms: 0, model_ms: 0, total_ms: 0 };

function made() {
  const failed = vi.fn();
  const reader = new FaceReader("worker.js", { ready: vi.fn(), result: vi.fn(), failed, tick: vi.fn() });
  const worker = FakeWorker.last;
  const ready = (): void => worker.say({ kind: "ready", opened_ms: 15_000 });
  const offer = (index: number, interval_s = 0.2): WaitingFrame & { image: ReturnType<typeof fakeImage> } => {
    const frame = { index, t_s: index * interval_s, interval_s, is_new_scene: false, image: fakeImage() };
    reader.offer(frame);
    return frame;
  };
  const answer = (): void => {
    const { index, t_s, interval_s } = worker.frames.at(-1)!;
    worker.say({ kind: "result", result: { index, t_s, interval_s, width: 640, height: 480, faces: [] }, stages: STAGES });
  };
  return { reader, worker, failed, ready, offer, answer };
}

describe("face reader", () => {
  beforeEach(() => void fakePage());

  it("does not credit the loading time of the networks to the first reading", () => {
    const { reader, worker, ready, offer } = made();
    for (let k = 0; k < 75; k++) offer(k); // 15 seconds
    ready();
    expect(worker.frames.map(({ index, interval_s }) => [index, interval_s])).toEqual([[74, 0.2]]);
    expect(reader.dropped).toBe(74);
  });

  it("adds the time of dropped frames to the next one, which represents at most a second", () => {
    const { worker, ready, offer, answer } = made();
    ready();
    offer(0);
    for (let k = 1; k <= 3; k++) offer(k);
    answer();
    expect(worker.frames.at(-1)!.interval_s).toBeCloseTo(0.6);
    for (let k = 4; k <= 30; k++) offer(k);
    answer();
    expect(worker.frames.map(({ index }) => index)).toEqual([0, 3, 30]);
    expect(worker.frames.at(-1)!.interval_s).toBe(1);
  });

  it("ends all waiting when reading fails", async () => {
    const { reader, worker, failed, offer } = made();
    const { image } = offer(0);
    const recorded = { index: 0, t_s: 0, interval_s: 0.2, is_new_scene: false, image: fakeImage() };
    const reading = reader.read(recorded);
    worker.say({ kind: "failed", reason: "no network" });
    await reading;
    await settle();
    expect(failed.mock.calls).toEqual([["no network"]]);
    expect([image.isClosed, recorded.image.isClosed, worker.frames]).toEqual([true, true, []]);
  });
});
