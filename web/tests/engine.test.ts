/** Compares each stage of the engine with Python. */

import { describe, expect, test } from "vitest";
import { Affect, Trend } from "../engine/affect.js";
import { assign } from "../engine/assignment.js";
import { Appearance, CutDetector } from "../engine/appearance.js";
import { DETECTOR, NOT_PERMITTED } from "../engine/constants.js";
import { type FaceDetector, NetworkDetector } from "../engine/detector.js";
import { FaceFinder } from "../engine/finder.js";
import { pictureMeasures, whyUnread } from "../engine/legibility.js";
import { MIEN_DETECT } from "../engine/own_detector.js";
import { BLUE, type Channel, GREEN, RED, channelOf, greyChannel, resize, roundEven, thumbnail, toGrey, wholeOf } from "../engine/picture.js";
import { headPose } from "../engine/pose.js";
import { similarityFromLandmarks, warpFace } from "../engine/preprocess.js";
import { type Box, type Detection, type FrameResult, type Picture, iou } from "../engine/records.js";
import { Smoother } from "../engine/smoother.js";
import { newNames, sessionStatement } from "../engine/statement.js";
import { csvRows, summaryDocument } from "../engine/summary.js";
import { Tally } from "../engine/tally.js";
import { Tracker } from "../engine/tracker.js";
import { YUNET } from "../engine/yunet.js";
import { CROPS, ENGINE, crc32, draw, expectFaces, fromHex, goldenPicture, type Vectors } from "./golden.js";

function face(box: Box): Detection {
  const { x, y, w, h } = box;
  return { box, score: 0.9, landmarks: new Float32Array([x, y, x + w, y, x + w / 2, y + h / 2, x, y + h, x + w, y + h]) };
}

test("crops are Python's, byte for byte", () => {
  const picture = goldenPicture();
  const crop = new Uint8Array(48 * 48);
  expect(CROPS.crops.length).toBeGreaterThanOrEqual(3);
  for (const golden of CROPS.crops) {
    warpFace(picture, similarityFromLandmarks(new Float32Array(golden.landmarks.flat())), crop);
    expect(Buffer.from(crop).toString("hex")).toBe(golden.crop_hex);
  }
});

test("landmarks that coincide have no crop", () => {
  expect(() => similarityFromLandmarks(new Float32Array(10).fill(5))).toThrow("coincide");
});

test("resized pictures are OpenCV's to one level, windows in 99% of the bytes", () => {
  const picture = goldenPicture();
  const grey = greyChannel(toGrey(picture, wholeOf(picture)));
  for (const { region, size, mode, bgr_hex, grey_hex, thumb_hex } of ENGINE.resize) {
    const [x0, y0, x1, y1] = region;
    const [width, height] = size;
    const resized = (channel: Channel): Uint8Array => {
      const data = new Uint8Array(width * height);
      resize({ data, start: 0, stride: width }, width, height, channel, { x0, y0, x1, y1 }, mode);
      return data;
    };
    const found = [BLUE, GREEN, RED].flatMap((colour) => [...resized(channelOf(picture, colour))]);
    for (const [levels, expected] of [
      [found, fromHex(bgr_hex)],
      [[...resized(grey)], fromHex(grey_hex)],
    ] as const) {
      const gaps = levels.map((value, k) => Math.abs(value - expected[k]!));
      expect(Math.max(...gaps)).toBeLessThanOrEqual(1);
      // OpenCV's scalar and vector code differ in the last bit
      if (mode === "linear") expect(gaps.filter((gap) => gap > 0).length / gaps.length).toBeLessThan(0.01);
    }
    const thumb = thumbnail(channelOf(picture, GREEN), { x0, y0, x1, y1 }, 16);
    const expectedThumb = fromHex(thumb_hex);
    expect(Math.max(...thumb.map((value, k) => Math.abs(value - expectedThumb[k]!)))).toBeLessThanOrEqual(1);
  }
});

test.each([
  [0.5, 0],
  [1.5, 2],
  [2.5, 2],
  [-0.5, -0],
  [-1.5, -2],
  [2.4, 2],
  [2.6, 3],
])("%f rounds to %f, as in Python", (value, rounded) => {
  expect(roundEven(value)).toBeCloseTo(rounded, 10);
});

test("YuNet's outputs are decoded as OpenCV does", () => {
  const { side, min_score, outputs, found } = ENGINE.decoder;
  const raw = Object.fromEntries(Object.entries(outputs).map(([name, values]) => [name, Float32Array.from(values as number[])]));
  const decoded = YUNET.decode(raw, { data: new Float32Array(), width: side, height: side }, min_score);
  expect(found.length).toBeGreaterThan(0);
  expectFaces(decoded, found, 0.05);
});

test("the packaged detector reads a picture at two sizes and joins its cells as Python does", async () => {
  const { readings, found, near } = ENGINE.own_detector;
  let asked = 0;
  const detector = new NetworkDetector(async ({ data, width, height }) => {
    const reading = readings[asked++];
    expect([width, height]).toEqual(reading.size);
    expect(crc32(data as Uint8Array)).toBe(reading.grey_crc);
    return Object.fromEntries(MIEN_DETECT.outputs.map((name) => [name, Float32Array.from(reading[name] as number[])]));
  }, MIEN_DETECT);
  expect(found.length).toBe(3);
  expectFaces(await detector.detect(goldenPicture()), found, 1e-3);
  expectFaces((await detector.detectNear(goldenPicture(), [{ x: 40, y: 50, w: 60, h: 70 }]))[0]!, near, 1e-3);
  expect(asked).toBe(readings.length);
});

test("a picture with small faces is searched at a larger size, too", async () => {
  const widths: number[] = [];
  const small = face({ x: 100, y: 100, w: 30, h: 30 });
  const both = { ...small, box: { ...small.box, x: 300 } };
  const detector = new NetworkDetector(
    async ({ width }) => (widths.push(width), { width: Float32Array.of(width) }),
    {
      ...{ isGrey: false, multiple: 32, outputs: [], limits: DETECTOR.yunet },
      decode: ({ width }) => (width![0] === 640 ? [small] : [{ ...small, box: { x: 200, y: 200, w: 60, h: 60 } }, both]),
    },
  );
  const found = await detector.detect({ data: new Uint8Array(4 * 1920 * 1080), width: 1920, height: 1080 });
  expect(widths).toEqual([640, 1280]);
  // a face found by both searches is returned once, with the box of the larger search
  expect(found.map(({ box }) => box)).toEqual([
    { x: 300, y: 300, w: 90, h: 90 },
    { x: 450, y: 150, w: 45, h: 45 },
  ]);
});

describe("windows", () => {
  /** A network that finds one face in the centre of every window with a bright area. */
  const detector = new NetworkDetector(
    async ({ data, width, height }) => {
      const windows = width / DETECTOR.window;
      const bright = Array.from({ length: windows }, (_, k) => data[64 * width + k * DETECTOR.window + 64]! > 128);
      return { bright: Float32Array.from(bright, Number), height: new Float32Array([height]) };
    },
    {
      ...{ isGrey: false, multiple: 32, outputs: [], limits: DETECTOR.yunet },
      decode: (outputs) =>
        [...outputs["bright"]!].flatMap((seen, k) =>
          seen ? [face({ x: k * DETECTOR.window + 44, y: 44, w: 40, h: 40 })] : [],
        ),
    },
  );

  test("what is found in a window lies where the window was", async () => {
    const data = new Uint8Array(4 * 640 * 480).fill(0);
    for (let y = 150; y < 350; y++) data.fill(255, 4 * (640 * y + 50), 4 * (640 * y + 250));
    const boxes = [
      { x: 50, y: 150, w: 200, h: 200 },
      { x: 450, y: 150, w: 100, h: 100 },
    ];
    const found = await detector.detectNear({ data, width: 640, height: 480 }, boxes);
    expect(found.map((each) => each.length)).toEqual([1, 0]);
    // 1.4 times the face, rounded to 304 pixels; its corner lies on a grid of 38
    const zoom = 304 / 128;
    expect(iou(found[0]![0]!.box, { x: 44 * zoom, y: 3 * 38 + 44 * zoom, w: 40 * zoom, h: 40 * zoom })).toBeGreaterThan(0.999);
    const moved = await detector.detectNear({ data, width: 640, height: 480 }, [{ x: 55, y: 152, w: 196, h: 202 }]);
    expect(moved[0]![0]!.box).toEqual(found[0]![0]!.box); // a face that hardly moves is seen through the same window
  });

  test("a window outside of the picture is black", async () => {
    const data = new Uint8Array(4 * 64 * 48).fill(255);
    const found = await detector.detectNear({ data, width: 64, height: 48 }, [{ x: 900, y: 900, w: 50, h: 50 }]);
    expect(found).toEqual([[]]);
  });
});

test("the finder asks and answers as Python's", async () => {
  let boxes: Box[] = [];
  let calls: string[] = [];
  const sorted = (some: Box[]): Detection[] => some.map(face).sort((a, b) => a.box.x - b.box.x);
  const detector: FaceDetector = {
    async detect() {
      calls.push("detect");
      return sorted(boxes);
    },
    async detectCoarsely() {
      calls.push("coarse");
      return sorted(boxes.filter((box) => box.w >= 60));
    },
    async detectNear(_, near) {
      calls.push(`near ${near.length}`);
      return near.map((each) => boxes.filter((box) => iou(box, each) > 0.1).map(face));
    },
  };
  const finder = new FaceFinder(detector);
  for (const step of ENGINE.finder) {
    [boxes, calls] = [step.boxes, []];
    const found = await finder.update(step.t_s, draw(boxes, step.people, step.place));
    const asked = calls.filter((call) => call !== "near 0");
    expect({ t_s: step.t_s, asked }).toEqual({ t_s: step.t_s, asked: step.calls.filter((call: string) => call !== "near 0") });
    expect(found.map((detection) => detection.box)).toEqual(step.found);
  }
});

test("faces are as alike, and cuts are where Python sees them", () => {
  for (const { boxes, people, places, likeness, cut } of ENGINE.appearance) {
    const [before, after] = [0, 1].map((k) => draw([boxes[k]], [people[k]], places[k])) as [Picture, Picture];
    const found = new Appearance(before, boxes[0]).likeness(new Appearance(after, boxes[1]), after);
    expect(found).toBeCloseTo(likeness, 2);
    const cuts = new CutDetector();
    expect([cuts.update(before), cuts.update(after)]).toEqual([false, cut]);
  }
  expect(new Set(ENGINE.appearance.map((one: Vectors) => one.cut)).size).toBe(2);
});

test("the tracker follows whom Python follows", () => {
  let count = 0;
  const tracker = new Tracker((below) => (count = (count * 7 + 3) % 100003) % below);
  const numbers = new Map<string, number>();
  for (const step of ENGINE.tracker) {
    const picture = step.place === null ? null : draw(step.boxes, step.people, step.place);
    const tracks = tracker.update(step.t_s, step.boxes.map(face), picture, step.step_s).map((name) => {
      expect(name).toMatch(/^[bcdfghjkmnpqrstvwxz]{6}$/);
      if (!numbers.has(name)) numbers.set(name, numbers.size);
      return numbers.get(name);
    });
    expect({ t_s: step.t_s, tracks }).toEqual({ t_s: step.t_s, tracks: step.tracks });
  }
});

test("the assignment is the cheapest of all", () => {
  const cost = [
    [4, 1, 3],
    [2, 0, 5],
    [3, 2, 2],
    [1, 9, 9],
  ];
  const total = (pairs: [number, number][]): number => pairs.reduce((sum, [row, column]) => sum + cost[row]![column]!, 0);
  expect(assign(cost)).toHaveLength(3);
  expect(total(assign(cost))).toBe(3);
  expect(assign([])).toEqual([]);
});

test("the smoother shows what Python's shows", () => {
  const smoother = new Smoother();
  for (const step of ENGINE.smoother) {
    const { smoothed, label } = smoother.update(step.track, step.t_s, step.raw);
    expect(label).toBe(step.label);
    smoothed.forEach((value, k) => expect(value).toBeCloseTo(step.smoothed[k], 5));
  }
});

test("poses are Python's to a hundredth of a degree", () => {
  for (const { landmarks, pose } of ENGINE.pose) {
    const found = headPose(new Float32Array(landmarks));
    if (pose === null) {
      expect(found).toBeNull();
      continue;
    }
    for (const angle of ["yaw_deg", "pitch_deg", "roll_deg"] as const) expect(found![angle]).toBeCloseTo(pose[angle], 2);
  }
});

test("faces are refused for Python's reasons", () => {
  const crops = new Map<number, Uint8Array>();
  for (const one of ENGINE.legibility) {
    if (!one.crop_hex) continue;
    const crop = fromHex(one.crop_hex);
    crops.set(one.seed, crop);
    const measures = pictureMeasures(crop);
    expect(measures.brightness).toBeCloseTo(one.brightness, 3);
    expect(measures.contrast).toBeCloseTo(one.contrast, 3);
    expect(measures.sharpness).toBeCloseTo(one.sharpness, 3);
  }
  const reasons = new Set<string>();
  for (const one of ENGINE.legibility) {
    expect(whyUnread(crops.get(one.seed)!, one.side_px, one.pose, one.was_read)).toBe(one.reason);
    reasons.add(one.reason);
  }
  expect(reasons.size).toBeGreaterThanOrEqual(5);
});

describe("a session", () => {
  const frames: FrameResult[] = ENGINE.session.frames.map((frame: Vectors) => ({
    ...frame,
    faces: frame.faces.map((each: Vectors) => ({ ...each, landmarks: new Float32Array(10) })),
  }));
  const [tally, affect, trend] = [new Tally(), new Affect(), new Trend()];
  for (const frame of frames) {
    tally.update(frame);
    affect.update(frame);
    trend.update(frame);
  }
  const facts = {
    ...{ session_id: "golden", started_at: "", source: "", model: "", detector: "", rule: "" },
    ...{ policy: "full" as const, captured: 0, dropped: 0, fps: 1 },
  };

  test("is counted as Python counts it", () => {
    const document = summaryDocument(tally, affect.mean, facts);
    for (const [name, expected] of Object.entries(ENGINE.session.document)) close(document[name], expected, name);
  });

  test("is Python's xAPI statement", () => {
    const expected = ENGINE.session.statements;
    const { id, actor, context } = expected.full;
    const names = { id, registration: context.registration, account: actor.account };
    const started_at = "2026-03-04T09:30:00.000+00:00";
    const unread = new Tally();
    for (const frame of frames) {
      const faces = frame.faces.map((face) => ({ ...face, unread: NOT_PERMITTED, label: "" }));
      unread.update({ ...frame, faces });
    }
    close(sessionStatement(tally, started_at, false, names), expected.full, "full");
    close(sessionStatement(unread, started_at, true, names), expected.observables, "observables");
    expect(JSON.stringify(sessionStatement(tally, started_at, true, names))).not.toContain("expression");
    for (const word of ["track", "bcdfg", "box", "landmark", "raw"]) expect(JSON.stringify(expected.full)).not.toContain(word);
    const berlin = sessionStatement(tally, "2026-03-04T10:30:00.000+01:00", false, names)["timestamp"] as string;
    expect(berlin.endsWith("+01:00")).toBe(true);
    expect(Date.parse(berlin)).toBe(Date.parse(expected.full.timestamp));
    expect(newNames().id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  test("has Python's rows", () => {
    const rows = frames.map((frame) => csvRows(frame, true)).join("").split("\n");
    const expected = ENGINE.session.rows.split("\n");
    expect(rows.length).toBe(expected.length);
    rows.forEach((row, k) => {
      const [found, wanted] = [row.split(","), expected[k].split(",")];
      expect(found.length).toBe(wanted.length);
      found.forEach((cell, at) => {
        if (cell !== wanted[at]) expect(Number(cell)).toBeCloseTo(Number(wanted[at]), 3);
      });
    });
  });

  test("has Python's valence, arousal, entropy and trend", () => {
    close([affect.mean!.valence, affect.mean!.arousal, affect.mean!.entropy_bits], ENGINE.session.affect, "affect");
    close(
      trend.points.map((point) => [point.t_s, point.shares]),
      ENGINE.session.trend,
      "trend",
    );
  });

  test("where expressions may not be read, nothing names one", () => {
    const document = JSON.stringify(summaryDocument(tally, affect.mean, { ...facts, policy: "observables" }));
    for (const name of ["happy", "distribution", "valence", "transitions", "uncertain_share"]) {
      expect(document).not.toContain(name);
    }
    expect(csvRows(frames[0]!, false)).toMatch(/^0\.0000,0,bcdfgb,,1\n$/);
  });

  test("time that no frame stands for is not watched, and nobody is away in it", () => {
    const gap = new Tally();
    const frame = (t_s: number): FrameResult => ({ ...frames[0]!, t_s, interval_s: 0.2 });
    gap.update(frame(0));
    gap.update(frame(0.2));
    gap.update(frame(10.2));
    expect(gap.coverage).toBeCloseTo(0.04 / 1.02, 1);
    expect(gap.presenceWhileWatched).toBeCloseTo(1, 5);
    expect(gap.presenceShare).toBeLessThan(0.1);
  });
});

/** Expect the same structure with numbers equal up to rounding. */
function close(found: unknown, expected: unknown, where: string): void {
  if (typeof expected === "number" && typeof found === "number") {
    expect(Math.abs(found - expected), where).toBeLessThan(1.5e-3);
  } else if (Array.isArray(expected)) {
    expect((found as unknown[]).length, where).toBe(expected.length);
    expected.forEach((each, k) => close((found as unknown[])[k], each, `${where}[${k}]`));
  } else if (expected !== null && typeof expected === "object") {
    expect(Object.keys(found as object).sort(), where).toEqual(Object.keys(expected).sort());
    for (const [name, each] of Object.entries(expected)) close((found as Record<string, unknown>)[name], each, `${where}.${name}`);
  } else {
    expect(found, where).toEqual(expected);
  }
}
