/** Tests of the messages that a learner's page sends to a class. */

import { describe, expect, it } from "vitest";
import { NOT_PERMITTED } from "../engine/constants.js";
import type { FaceReading, FrameResult } from "../engine/records.js";
import { type Answer, Sender, type SenderSettings } from "../learner/sender.js";

const SETTINGS: SenderSettings = { interval_s: 10, bin_s: 30, expressions: true, max_signals: 2 };

function frame(label: string, more: Partial<FaceReading> = {}, faces = 1, interval_s = 0.2): FrameResult {
  const face = { track_id: "bcdfgh", label, unread: "", facing: true, landmarks: new Float32Array(10), ...more } as FaceReading;
  return { index: 0, t_s: 0, interval_s, width: 640, height: 480, faces: Array.from({ length: faces }, () => face) };
}

function made(settings: Partial<SenderSettings> = {}, statuses: number[] = []) {
  const sent: string[] = [];
  const reasons: number[] = [];
  const post = (body: string): Promise<Answer> => {
    sent.push(body);
    const status = statuses.shift() ?? 204;
    return Promise.resolve({ status, sentence: status < 300 ? "" : `Status ${status}.` });
  };
  const listener = { changed: () => undefined, ended: (status: number) => reasons.push(status) };
  const sender = new Sender({ ...SETTINGS, ...settings }, post, listener, 0);
  return { sender, sent, reasons, ended: () => reasons.length };
}

/** Read `seconds` of frames, five a second. */
function read(sender: Sender, from_s: number, seconds: number, result: FrameResult): void {
  for (let k = 1; k <= 5 * seconds; k++) sender.add(result, 1000 * (from_s + k / 5));
}

const settle = (): Promise<void> => new Promise((done) => setTimeout(done, 0));

describe("sender", () => {
  it("sends seconds every ten seconds, and shows exactly what it sent", async () => {
    const { sender, sent } = made();
    sender.tick(0);
    read(sender, 0, 5, frame("happy"));
    read(sender, 5, 6, frame("neutral", { facing: false }));
    await settle();
    expect(sent).toHaveLength(1);
    expect(JSON.parse(sent[0]!)).toEqual({ number: 1, measured_s: 10, facing_s: 5, expression_s: { happy: 5, neutral: 5 } });
    expect(sender.last).toBe(sent[0]);
    expect(sent[0]!.length).toBeLessThanOrEqual(300);
  });

  it("sends nothing while no face is read", async () => {
    const { sender, sent } = made();
    sender.tick(0);
    read(sender, 0, 12, frame("", { unread: "too dark" }));
    read(sender, 12, 12, frame("happy", {}, 0));
    read(sender, 24, 12, frame("happy", {}, 2)); // several faces are not counted
    await settle();
    expect(sent).toEqual([]);
  });

  it("has no expression where none may be read", async () => {
    const { sender, sent } = made({ expressions: false });
    sender.tick(0);
    read(sender, 0, 10, frame("", { unread: NOT_PERMITTED }));
    await settle();
    expect(JSON.parse(sent[0]!)).toEqual({ number: 1, measured_s: 10, facing_s: 10 });
  });

  it("sends a signal once, also without a face, as often as it counts, and takes it back", async () => {
    const { sender, sent } = made();
    sender.tick(0);
    sender.signal("lost");
    sender.takeBack();
    for (const at_s of [10, 20, 30, 40]) {
      sender.signal("lost");
      sender.signal("slower"); // the later one counts
      sender.tick(1000 * at_s);
      await settle();
    }
    expect(sent.map((body) => JSON.parse(body) as unknown)).toEqual([
      { number: 1, signal: "slower" },
      { number: 2, signal: "slower" },
    ]);
    expect(sender.signalsLeft).toBe(0);
  });

  it("keeps messages while the network is away, and drops what is older than a bin", async () => {
    const { sender, sent } = made({}, [0, 503, 204]);
    sender.tick(0);
    read(sender, 0, 10, frame("happy"));
    await settle();
    expect(sender.state).toBe("network away");
    expect(sender.waiting).toBe(1);
    sender.tick(11_000);
    await settle();
    sender.tick(12_000);
    await settle();
    expect(sent).toHaveLength(3);
    expect(new Set(sent).size).toBe(1); // the same text with the same number
    expect(sender.state).toBe("sent");

    const late = made({}, [0]);
    late.sender.tick(0);
    read(late.sender, 0, 10, frame("happy"));
    await settle();
    late.sender.tick(41_000);
    await settle();
    expect(late.sent).toHaveLength(1);
    expect(late.sender.waiting).toBe(0);
  });

  it.each([400, 422, 429])("says that a message was refused with status %d", async (status) => {
    const { sender, sent, ended } = made({}, [204, status, 204]);
    sender.tick(0);
    read(sender, 0, 20, frame("happy"));
    await settle();
    expect([sender.state, sender.refusal, sender.last]).toEqual(["refused", `Status ${status}.`, sent[0]]);
    read(sender, 20, 10, frame("happy"));
    await settle();
    expect([sender.state, sender.refusal, sender.last, ended()]).toEqual(["sent", "", sent[2], 0]);
  });

  it.each([425, 429, 422])("gives a signal back whose message is answered with status %d", async (status) => {
    const { sender, sent } = made({}, [status, status, status]);
    sender.tick(0);
    for (const at_s of [10, 20, 30, 40]) {
      sender.signal("lost");
      expect(sender.returnedSignal).toBeNull();
      sender.tick(1000 * at_s);
      await settle();
      expect(sender.returnedSignal).toBe(at_s < 40 ? "lost" : null);
    }
    expect(sent).toHaveLength(4);
    expect(sender.signalsLeft).toBe(1); // of two; one was counted
  });

  it("gives a signal back whose message is too old, unless the server may have counted it", async () => {
    const { sender } = made({}, [0]);
    sender.tick(0);
    sender.signal("lost");
    sender.tick(10_000);
    await settle();
    expect([sender.waiting, sender.signalsLeft]).toEqual([1, 1]);
    sender.tick(41_000);
    expect([sender.waiting, sender.signalsLeft, sender.returnedSignal]).toEqual([0, 2, "lost"]);

    let answer = (_: Answer): void => undefined;
    const post = (): Promise<Answer> => new Promise((resolve) => (answer = resolve));
    const slow = new Sender(SETTINGS, post, { changed: () => undefined, ended: () => undefined }, 0);
    slow.tick(0);
    slow.signal("lost");
    slow.tick(10_000);
    slow.tick(41_000);
    answer({ status: 204, sentence: "" });
    await settle();
    expect([slow.state, slow.signalsLeft, slow.returnedSignal]).toEqual(["sent", 1, null]);
  });

  it("forgets what was counted when it is paused", async () => {
    const { sender, sent } = made();
    sender.tick(0);
    read(sender, 0, 8, frame("happy"));
    sender.forget();
    sender.tick(10_000);
    await settle();
    expect(sent).toEqual([]);
  });

  it("ends when the lesson is over, and goes on when it has not started", async () => {
    const { sender, sent, ended } = made({}, [425, 410]);
    sender.tick(0);
    read(sender, 0, 10, frame("happy"));
    await settle();
    expect([sender.state, sender.last]).toEqual(["waiting for the lesson", ""]);
    read(sender, 10, 10, frame("happy"));
    await settle();
    expect([sender.state, ended()]).toEqual(["ended", 1]);
    read(sender, 20, 20, frame("happy"));
    await settle();
    expect(sent).toHaveLength(2);
  });

  it("ends when the person goes on in another window, and says so", async () => {
    const { sender, sent, reasons } = made({}, [403]);
    sender.tick(0);
    read(sender, 0, 20, frame("happy"));
    await settle();
    expect([sender.state, reasons]).toEqual(["ended", [403]]);
    expect(sent).toHaveLength(1);
  });

  it("never claims more than the interval where timers ran late", async () => {
    const { sender, sent } = made();
    sender.tick(0);
    sender.add(frame("happy", {}, 1, 60), 60_000);
    await settle();
    expect(JSON.parse(sent[0]!)).toMatchObject({ measured_s: 10, expression_s: { happy: 10 } });
  });
});
