/**
 * Sends readings to the page's server, which stores them in a session folder, if the server was started with that option.
 *
 * Rows are sent once a second. If the server does not answer, they are queued up to a limit, and the page shows a notice.
 */

import type { FrameResult } from "../sdk.js";
import { insist } from "./insist.js";

const SEND_EVERY_MS = 1000;
/** About ten minutes of readings of one face. */
const MOST_WAITING = 20_000;

/** Sentence in the summary of a session that is not stored on a server. */
export const NOT_STORED = "This session is not stored. Save the files that you need before you close this page.";

/** Callbacks of the keeper. */
export interface KeeperListener {
  /** Shows a message to the user, in place of an earlier one. */
  notice(text: string): void;
  /** Consent was withdrawn elsewhere: the session must end. The notice about this comes first. */
  withdrawn(): void;
}

/** Frame counts of a session so far. */
export interface Counts {
  readonly captured: number;
  readonly dropped: number;
}

/** One session on the server, with its own address and rows. */
class KeptSession {
  /** Folder of the session; "" if it is not stored. */
  private folder = "";
  /** Whether the server ended the session because consent was withdrawn. */
  private isWithdrawn = false;
  private waiting: unknown[] = [];
  private counts: Counts = { captured: 0, dropped: 0 };
  /** Address of the session; null if the server has none, or has ended it. */
  private address: string | null = null;
  /** Whether the server refused readings. Nothing more is sent, but what was stored can be erased. */
  private isRefused = false;
  private readonly opening: Promise<void>;
  private sending: Promise<void> = Promise.resolve();
  private isTroubled = false;

  /** @param before Resolves when the previous session has ended, since the server stores one at a time. */
  constructor(
    source: string,
    before: Promise<unknown>,
    private readonly listener: KeeperListener,
  ) {
    this.opening = before.then(() => this.open(source));
  }

  add(result: FrameResult, counts: Counts): void {
    this.counts = counts;
    if (this.waiting.length >= MOST_WAITING) this.waiting.shift();
    this.waiting.push(plain(result));
  }

  send(): void {
    if (this.address === null || this.isRefused || this.waiting.length === 0) return;
    this.sending = this.sending.then(async () => {
      const { address, waiting: frames } = this;
      if (address === null || this.isRefused || frames.length === 0) return;
      this.waiting = [];
      try {
        const answer = await post(`${address}/frames`, { ...this.counts, frames });
        if (answer.status >= 500) throw new Error("again");
        const said = (await answer.json()) as { withdrawn?: string; notices?: string[]; error?: string };
        const notices = [...(said.notices ?? [])];
        if (!answer.ok) {
          this.isRefused = true;
          notices.push(`Nothing is stored from now on: ${said.error ?? answer.status}`);
        } else if (this.isTroubled) notices.push("The server answers again; all waiting readings were stored");
        if (said.withdrawn) notices.unshift("Consent was withdrawn: this session has ended");
        this.isTroubled = false;
        if (notices.length > 0) this.listener.notice(text(notices));
        if (said.withdrawn) {
          this.isWithdrawn = true; // the notice says whether the server could erase it
          this.listener.withdrawn();
        }
      } catch {
        this.waiting = [...frames, ...this.waiting].slice(-MOST_WAITING);
        if (!this.isTroubled) this.listener.notice("The server does not answer. Readings wait in this page until it does.");
        this.isTroubled = true;
      }
    });
  }

  /** Send the queued rows and end the session; resolves when the server has stored them. */
  async end(): Promise<void> {
    await this.opening;
    this.send();
    await this.sending;
    const { address, waiting: frames } = this;
    if (address === null || this.isRefused) return;
    const answer = await post(`${address}/end`, { ...this.counts, frames }).catch(() => null);
    this.address = null;
    if (answer === null || !answer.ok) this.listener.notice("The end of this session could not be stored: the server does not answer.");
    const said = answer?.ok ? ((await answer.json().catch(() => null)) as { withdrawn?: string; notices?: string[] } | null) : null;
    if (said?.withdrawn) this.isWithdrawn = true; // the notice says whether the server could erase it
    if (said?.notices?.length) this.listener.notice(text(said.notices));
  }

  /** Whether and where the session is stored, in a sentence. */
  get stored(): string {
    if (this.isWithdrawn) return "Consent was withdrawn: this session has ended, and nothing more is stored.";
    if (this.folder === "") return NOT_STORED;
    return `This session is stored in ${this.folder}. List sessions with: mien sessions list`;
  }

  /** End the session and erase its stored data; return a sentence about the result. */
  async erase(): Promise<string> {
    await this.opening;
    await this.sending;
    const { address } = this;
    this.address = null;
    if (address === null) return "This session was not stored, so there is nothing to erase.";
    const answer = await insist((signal) => fetch(address, { method: "DELETE", signal }));
    const said = (await answer?.json().catch(() => null)) as { notices?: string[]; error?: string } | null | undefined;
    if (answer?.ok) return ["This session has been erased", ...(said?.notices ?? [])].join(", but ") + ".";
    const why = said?.error ?? "the server does not answer";
    return `This session could not be erased: ${why}. Erase it with: mien privacy erase ${address.split("/").at(-1)}`;
  }

  /** Send the queued rows when the page is closed. */
  leave(): void {
    if (this.address === null || this.isRefused) return;
    const body = JSON.stringify({ ...this.counts, frames: this.waiting.slice(-100) });
    navigator.sendBeacon(`${this.address}/end`, new Blob([body], { type: "application/json" }));
    this.address = null;
  }

  private async open(source: string): Promise<void> {
    try {
      const answer = await post("sessions", { source });
      const said = (await answer.json()) as { address?: string; folder?: string; error?: string; withdrawn?: string };
      if (said.withdrawn === "show") {
        this.isWithdrawn = true;
        this.listener.notice("Consent was withdrawn: this session has ended.");
        this.listener.withdrawn();
        return;
      }
      if (!answer.ok || said.address === undefined) throw new Error(said.error ?? `the server responded with status ${answer.status}`);
      this.address = said.address;
      this.folder = said.folder ?? "";
    } catch (error) {
      this.listener.notice(`This session is not stored: ${error instanceof Error ? error.message : String(error)}.`);
    }
  }
}

/** Stores one session at a time. */
export class Keeper {
  private session: KeptSession | null = null;
  /** Sessions whose end the server has not stored yet. */
  private readonly unfinished = new Set<KeptSession>();
  private previous: Promise<unknown> = Promise.resolve();
  private readonly timer: ReturnType<typeof setInterval>;

  constructor(private readonly listener: KeeperListener) {
    this.timer = setInterval(() => this.session?.send(), SEND_EVERY_MS);
    addEventListener("pagehide", () => this.leave());
  }

  begin(source: string): void {
    this.session = new KeptSession(source, this.previous, this.listener);
    this.unfinished.add(this.session);
  }

  add(result: FrameResult, counts: Counts): void {
    this.session?.add(result, counts);
  }

  /** End the session; resolves, once the server has answered, with a sentence about whether and where it is stored. */
  end(): Promise<string> {
    return this.finish(async (session) => {
      await session.end();
      return session.stored;
    });
  }

  /** End the session and erase its stored data; resolves with a sentence about the result. */
  erase(): Promise<string> {
    return this.finish((session) => session.erase());
  }

  private async finish(action: (session: KeptSession) => Promise<string>): Promise<string> {
    const { session } = this;
    if (session === null) return "";
    this.session = null;
    const done = action(session);
    this.previous = done.catch(() => undefined);
    try {
      return await done;
    } finally {
      this.unfinished.delete(session);
    }
  }

  private leave(): void {
    clearInterval(this.timer);
    for (const session of this.unfinished) session.leave();
  }
}

/** Return sentences as one text, each with its full stop. */
function text(sentences: readonly string[]): string {
  return sentences.map((sentence) => (/[.!?]$/.test(sentence) ? sentence : `${sentence}.`)).join(" ");
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
