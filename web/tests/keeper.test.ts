/** Tests of storing sessions: two sessions in a row, erasing, and closing the page. */

import { beforeEach, describe, expect, it, vi } from "vitest";
import type { FrameResult } from "../engine/records.js";
import { Keeper } from "../learner/keeper.js";

const COUNTS = { captured: 1, dropped: 0 };

function frame(index: number): FrameResult {
  return { index, t_s: index / 5, interval_s: 0.2, width: 640, height: 480, faces: [] };
}

/** A server that stores one session at a time, as `mien web --keep`; `hold` delays its answers to a request. */
class FakeServer {
  readonly stored: Record<string, number[]> = {};
  readonly erased: string[] = [];
  readonly unrecorded: string[] = [];
  running: string | null = null;
  /** Answers to readings, before any others. */
  readonly answers: Response[] = [];
  /** Answers to beginning and to ending a session, before any others. */
  readonly begins: Response[] = [];
  readonly ends: Response[] = [];
  hold = "";
  down = 0;
  private begun = 0;
  private waiting: (() => void)[] = [];

  readonly fetch = async (address: string, { method = "GET", body = "" }: { method?: string; body?: string } = {}): Promise<Response> => {
    if (this.hold !== "" && address.endsWith(this.hold)) await new Promise<void>((done) => this.waiting.push(done));
    if (this.down > 0) {
      this.down--;
      throw new TypeError("Failed to fetch");
    }
    if (address === "sessions") {
      if (this.begins.length > 0) return this.begins.shift()!;
      if (this.running !== null) return Response.json({ error: "another page of this server is recording" }, { status: 409 });
      this.running = `s${++this.begun}`;
      this.stored[this.running] = [];
      return Response.json({ address: `sessions/${this.running}`, folder: `results/${this.running}` });
    }
    const [, id, action] = address.split("/");
    if (id === undefined || id !== this.running) return Response.json({ error: "this session is not running" }, { status: 400 });
    if (action === "frames" && this.answers.length > 0) return this.answers.shift()!;
    if (method === "DELETE") this.erased.push(id);
    else this.stored[id]!.push(...(JSON.parse(body) as { frames: FrameResult[] }).frames.map(({ index }) => index));
    if (method === "DELETE" || action === "end") this.running = null;
    if (action === "end" && this.ends.length > 0) return this.ends.shift()!;
    return Response.json(method === "DELETE" ? { notices: this.unrecorded } : {});
  };

  release(): void {
    this.hold = "";
    for (const done of this.waiting.splice(0)) done();
  }
}

describe("keeper", () => {
  let server: FakeServer;
  let keeper: Keeper;
  let notices: string[];
  let page: EventTarget;
  let beacons: string[];
  let ended: number;

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setInterval", "setTimeout"] });
    server = new FakeServer();
    notices = [];
    beacons = [];
    ended = 0;
    page = new EventTarget();
    vi.stubGlobal("fetch", server.fetch);
    vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
    vi.stubGlobal("navigator", { sendBeacon: (address: string) => beacons.push(address) });
    keeper = new Keeper({ notice: (sentence) => notices.push(sentence), withdrawn: () => ended++ });
    return () => vi.useRealTimers();
  });

  const run = (): Promise<unknown> => vi.advanceTimersByTimeAsync(100);

  it("stores a session that begins while the previous one is still being sent", async () => {
    keeper.begin("camera");
    keeper.add(frame(0), COUNTS);
    await run();
    server.hold = "/frames";
    const ended = keeper.end();
    await run();
    keeper.begin("clip.mp4");
    keeper.add(frame(7), COUNTS);
    await run();
    server.release();
    expect(await ended).toContain("stored in results/s1.");
    keeper.add(frame(8), COUNTS);
    expect(await keeper.end()).toContain("stored in results/s2.");
    expect(server.stored).toEqual({ s1: [0], s2: [7, 8] });
    expect([server.running, notices]).toEqual([null, []]);
  });

  it("stores a session that begins while the end of the previous one is unanswered", async () => {
    keeper.begin("camera");
    keeper.add(frame(0), COUNTS);
    server.hold = "/end";
    const ended = keeper.end();
    await run();
    keeper.begin("camera");
    keeper.add(frame(9), COUNTS);
    await run();
    server.release();
    await ended;
    expect(await keeper.end()).toContain("stored in results/s2.");
    expect([server.stored, notices]).toEqual([{ s1: [0], s2: [9] }, []]);
  });

  it("ends a session that may not begin because consent was withdrawn", async () => {
    server.begins.push(Response.json({ error: "consent was withdrawn", withdrawn: "show" }, { status: 409 }));
    keeper.begin("camera");
    await run();
    expect([ended, notices]).toEqual([1, ["Consent was withdrawn: this session has ended."]]);
    server.begins.push(Response.json({ error: "consent to storage was withdrawn", withdrawn: "keep" }, { status: 409 }));
    keeper.begin("camera");
    await run();
    expect([ended, notices[1]]).toEqual([1, "This session is not stored: consent to storage was withdrawn."]);
  });

  it("does not call a session stored whose consent was withdrawn at its end", async () => {
    keeper.begin("camera");
    server.ends.push(Response.json({ withdrawn: "show", notices: ["The data of this session has been erased"] }));
    expect(await keeper.end()).toContain("nothing more is stored");
    expect(notices).toEqual(["The data of this session has been erased."]);
  });

  it("erases only the running session, and asks again while the server is away", async () => {
    keeper.begin("camera");
    await keeper.end();
    keeper.begin("camera");
    await run();
    server.down = 2;
    const erased = keeper.erase();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await erased).toBe("This session has been erased.");
    expect(server.erased).toEqual(["s2"]);
  });

  it("says that a session was erased and what could not be recorded", async () => {
    keeper.begin("camera");
    server.unrecorded.push("the withdrawal was not recorded: no space left");
    expect(await keeper.erase()).toBe("This session has been erased, but the withdrawal was not recorded: no space left.");
  });

  it("says how to erase a session if the server is gone, and that nothing was stored", async () => {
    keeper.begin("camera");
    await run();
    server.down = 99;
    const erased = keeper.erase();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await erased).toContain("could not be erased: the server does not answer. Erase it with: mien privacy erase s1");
    keeper.begin("camera");
    expect(await keeper.erase()).toContain("not stored");
  });

  it("erases a session whose readings the server refused, and sends no more of them", async () => {
    keeper.begin("camera");
    keeper.add(frame(0), COUNTS);
    await run();
    server.answers.push(Response.json({ error: "the consent ledger is damaged" }, { status: 400 }));
    await vi.advanceTimersByTimeAsync(1000);
    expect(notices).toEqual(["Nothing is stored from now on: the consent ledger is damaged."]);
    keeper.add(frame(1), COUNTS);
    await vi.advanceTimersByTimeAsync(2000);
    expect(server.stored).toEqual({ s1: [] });
    expect(await keeper.erase()).toBe("This session has been erased.");
    expect([server.erased, notices.length]).toEqual([["s1"], 1]);
  });

  it("says in one notice that consent was withdrawn and what could not be erased", async () => {
    keeper.begin("camera");
    keeper.add(frame(0), COUNTS);
    await run();
    server.answers.push(Response.json({ withdrawn: "show", notices: ["folder: the session was not erased. No space left"] }));
    await vi.advanceTimersByTimeAsync(1000);
    expect(notices).toEqual(["Consent was withdrawn: this session has ended. folder: the session was not erased. No space left."]);
    expect(ended).toBe(1);
    expect(await keeper.end()).toBe("Consent was withdrawn: this session has ended, and nothing more is stored."); // what is left is in the notice
  });

  it("ends all sessions when the page is closed", async () => {
    keeper.begin("camera");
    await run();
    server.hold = "/end";
    void keeper.end();
    await run();
    page.dispatchEvent(new Event("pagehide"));
    expect(beacons).toEqual(["sessions/s1/end"]);
    server.release();
    await run();
  });
});
