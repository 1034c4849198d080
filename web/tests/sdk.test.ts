/** Tests of `MienCamera` when reading fails: the camera must be released, and the user told. */

import { beforeEach, describe, expect, it } from "vitest";
import { MienCamera, type StateChange } from "../sdk.js";
import { FakeWorker, fakePage, settle } from "./fakes.js";

const OPTIONS = { base: "http://127.0.0.1/", detector: { name: "yunet", url: "yunet.onnx" }, model: null };

describe("a camera whose worker fails", () => {
  let streams: ReturnType<typeof fakePage>;
  let camera: MienCamera;
  let worker: FakeWorker;
  let events: (StateChange | "begin" | "end")[];

  beforeEach(() => {
    streams = fakePage();
    camera = new MienCamera(OPTIONS);
    worker = FakeWorker.last;
    events = [];
    camera.on("state", (change) => events.push(change));
    for (const name of ["begin", "end"] as const) camera.on(name, () => events.push(name));
  });

  it("does not start afterwards, and says why again", async () => {
    worker.say({ kind: "failed", reason: "/networks/yunet.onnx cannot be loaded (404)" });
    await camera.start();
    await camera.read([new File(["no picture"], "face.png")]);
    expect(streams).toEqual([]);
    expect(events).toHaveLength(3);
    const failed = { state: "failed", camera: "off", sentence: expect.stringContaining("yunet.onnx cannot be loaded (404)") as string };
    for (const event of events) expect(event).toEqual(failed);
    expect(camera.outcome()).toBeNull();
  });

  it("is released when the failure comes during a session", async () => {
    await camera.start();
    expect(camera.state.state).toBe("starting");
    camera.on("end", () => void camera.start()); // listeners cannot start it again either
    worker.say({ kind: "failed", reason: "out of memory" });
    await settle();
    expect(streams.map(({ track }) => track.isStopped)).toEqual([true]);
    expect(events.filter((event) => event === "begin" || event === "end")).toEqual(["begin", "end"]);
    expect([camera.state.state, camera.state.camera, camera.outcome()]).toEqual(["failed", "off", null]);
    camera.stop();
    expect(camera.state.state).toBe("failed");
  });

  it("is released when the failure comes while the browser asks for permission", async () => {
    const started = camera.start();
    worker.dispatchEvent(Object.assign(new Event("error"), { message: "" }));
    await started;
    expect(streams.map(({ track }) => track.isStopped)).toEqual([true]);
    expect(events.at(-1)).toMatchObject({ state: "failed", camera: "off" });
  });
});
