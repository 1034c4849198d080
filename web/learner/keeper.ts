/**
 * Sends readings to the page's server, which stores them in a session folder, if the server was started with that option.
 *
 * Rows are sent once a second. If the server does not answer, they are queued up to a limit, and the page shows a notice.
 */

import type { FrameResult } from "../sdk.js";

const SEND_EVERY_MS = 1000;
/** About ten minutes of readings of one face. */
const MOST_WAITING = 20_000;

/** Callbacks of the keeper. */
export interface KeeperListener {
  /** Shows a message to the user. */
  notice(sentence: string): void;
  /** Consent was withdrawn elsewhere: the session must end. */
  withdrawn(): void;
}

/** Frame counts of a session so far. */
export interface Counts {
  readonly captured: number;
  readonly dropped: number;
}

/** Stores one session at a time. */
export class Keeper {
  private waiting: unknown[] = [];
  private counts: Counts = { captured: 0, dropped: 0 };
  private address: string | null = null;
  private opening: Promise<void> = Promise.resolve();
  private sending: Promise<void> = Promise.resolve();
  private readonly timer: ReturnType<typeof setInterval>;
  private isTroubled = false;
  /** Folder of the session; "" if it is not stored. */
  folder = "";

  constructor(private readonly listener: KeeperListener) {
    this.timer = setInterval(() => this.send(), SEND_EVERY_MS);
    addEventListener("pagehide", () => this.leave());
  }

  begin(source: string): void {
    this.waiting = [];
    this.opening = this.open(source);
  }

  add(result: FrameResult, counts: Counts): void {
    this.counts = counts;
    if (this.waiting.length >= MOST_WAITING) this.waiting.shift();
    this.waiting.push(plain(result));
  }

  /** Send the queued rows and end the session; resolves when the server has stored them. */
  async end(): Promise<void> {
    await this.opening;
    this.send();
    await this.sending;
    const { address } = this;
    this.address = null;
    if (address === null) return;
    const answer = await post(`${address}/end`, { ...this.counts, frames: this.waiting }).catch(() => null);
    this.waiting = [];
    if (answer === null || !answer.ok) this.listener.notice("The end of this session could not be stored: the server does not answer.");
  }

  /** End the session and erase its stored data. */
  async erase(): Promise<boolean> {
    await this.opening;
    await this.sending;
    const { address } = this;
    this.address = null;
    this.waiting = [];
    if (address === null) return false;
    const answer = await fetch(address, { method: "DELETE" }).catch(() => null);
    return answer?.ok ?? false;
  }

  private async open(source: string): Promise<void> {
    this.address = null;
    this.folder = "";
    try {
      const answer = await post("sessions", { source });
      const said = (await answer.json()) as { address?: string; folder?: string; error?: string };
      if (!answer.ok || said.address === undefined) throw new Error(said.error ?? `the server responded with status ${answer.status}`);
      this.address = said.address;
      this.folder = said.folder ?? "";
    } catch (error) {
      this.listener.notice(`This session is not stored: ${error instanceof Error ? error.message : String(error)}.`);
    }
  }

  private send(): void {
    const { address } = this;
    if (address === null || this.waiting.length === 0) return;
    this.sending = this.sending.then(async () => {
      const frames = this.waiting;
      if (frames.length === 0) return;
      this.waiting = [];
      try {
        const answer = await post(`${address}/frames`, { ...this.counts, frames });
        if (answer.status >= 500) throw new Error("again");
        const said = (await answer.json()) as { withdrawn?: string; notices?: string[]; error?: string };
        for (const sentence of said.notices ?? []) this.listener.notice(sentence);
        if (!answer.ok) {
          this.address = null;
          this.listener.notice(`Nothing is stored from now on: ${said.error ?? answer.status}.`);
        }
        if (said.withdrawn) this.listener.withdrawn();
        if (this.isTroubled) this.listener.notice("The server answers again; all waiting readings were stored.");
        this.isTroubled = false;
      } catch {
        this.waiting = [...frames, ...this.waiting].slice(-MOST_WAITING);
        if (!this.isTroubled) this.listener.notice("The server does not answer. Readings wait in this page until it does.");
        this.isTroubled = true;
      }
    });
  }

  /** Send the queued rows when the page is closed. */
  private leave(): void {
    clearInterval(this.timer);
    if (this.address === null) return;
    const body = JSON.stringify({ ...this.counts, frames: this.waiting.slice(-100) });
    navigator.sendBeacon(`${this.address}/end`, new Blob([body], { type: "application/json" }));
    this.address = null;
  }
}

function post(address: string, body: unknown): Promise<Response> {
  return fetch(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

/** Return a result without landmarks, as the server stores it. */
function plain(result: FrameResult): unknown {
  return {
    index: result.index,
    t_s: result.t_s,
    interval_s: result.interval_s,
    width: result.width,
    height: result.height,
    faces: result.faces.map((face) => ({
      track_id: face.track_id,
      box: face.box,
      score: face.score,
      raw: face.raw,
      smoothed: face.smoothed,
      label: face.label,
      unread: face.unread,
      pose: face.pose,
      facing: face.facing,
    })),
  };
}
