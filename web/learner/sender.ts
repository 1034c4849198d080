/**
 * Sends a learner's messages to a class: one every ten seconds, none while no face is read.
 *
 * Messages are queued while the network is down and dropped when they are older than a bin. The page shows exactly the text
 * that is sent.
 */

import type { FrameResult } from "../sdk.js";
import { NOT_PERMITTED } from "../engine/constants.js";

/** The server's answer to a message. */
export interface Answer {
  /** HTTP status; 0 if the server could not be reached. */
  readonly status: number;
  /** Why the message was refused, in words; "" if it was not. */
  readonly sentence: string;
}

/** Sends a message. */
export type Post = (body: string) => Promise<Answer>;

/** Callbacks of the sender. */
export interface SenderListener {
  /** The displayed state has changed. */
  changed(): void;
  /** The lesson is over (410 or 401), the participant left (401), or the person joined from another window (403). */
  ended(status: number): void;
}

export interface SenderSettings {
  /** Seconds between two messages. */
  readonly interval_s: number;
  /** Length of a bin in seconds; older messages are useless. */
  readonly bin_s: number;
  /** Whether expressions are sent. */
  readonly expressions: boolean;
  /** Maximum number of signals that count in a lesson. */
  readonly max_signals: number;
}

/** Result of the last attempt. */
export type SenderState = "idle" | "sent" | "waiting for the lesson" | "refused" | "network away" | "ended";

interface Waiting {
  readonly body: string;
  readonly signal: string | null;
  readonly made_ms: number;
}

/** Timers fire late, so a message may cover this many seconds more than the interval. */
const TOLERANCE_S = 2;

export class Sender {
  private measured_s = 0;
  private facing_s = 0;
  private readonly expression_s = new Map<string, number>();
  private pressed: string | null = null;
  private number = 0;
  private queue: Waiting[] = [];
  private sending = false;
  private begun_ms: number | null = null;
  /** Text of the last message that the server received. */
  last = "";
  state: SenderState = "idle";
  /** Why the server refused the last message; "" if it did not. */
  refusal = "";
  /** The last signal, if its message was not counted; null otherwise. */
  returnedSignal: string | null = null;
  /** Number of signals left, as far as this page knows. */
  signalsLeft: number;

  /** @param phase Offset within the interval, 0 to 1, which spreads the messages of a class. */
  constructor(
    private readonly settings: SenderSettings,
    private readonly post: Post,
    private readonly listener: SenderListener,
    private readonly phase = Math.random(),
  ) {
    this.signalsLeft = settings.max_signals;
  }

  /** Number of queued messages. */
  get waiting(): number {
    return this.queue.length;
  }

  /** Text of the next message so far; it is sent at the end of its interval. */
  get next(): string {
    return this.pressed === null && this.measured_s < 0.05 ? "" : this.message(this.number + 1);
  }

  /** Add a reading. With several faces nothing is counted, because it is unknown which one is the learner's. */
  add(result: FrameResult, now_ms: number): void {
    const [face] = result.faces;
    if (this.state !== "ended" && face !== undefined && result.faces.length === 1) {
      const isRead = this.settings.expressions ? face.unread === "" : face.unread === "" || face.unread === NOT_PERMITTED;
      if (isRead) {
        const { interval_s } = result;
        this.measured_s += interval_s;
        if (face.facing === true) this.facing_s += interval_s;
        if (this.settings.expressions) this.expression_s.set(face.label, (this.expression_s.get(face.label) ?? 0) + interval_s);
      }
    }
    this.tick(now_ms);
  }

  /** Send due messages. */
  tick(now_ms: number): void {
    if (this.state === "ended") return;
    const interval_ms = 1000 * this.settings.interval_s;
    this.begun_ms ??= now_ms - this.phase * interval_ms;
    if (now_ms - this.begun_ms >= interval_ms) {
      this.close(now_ms);
      this.begun_ms = now_ms;
    }
    void this.flush(now_ms);
  }

  /** Set the signal to send with the next message. */
  signal(name: string): void {
    if (this.signalsLeft === 0 && this.pressed === null) return;
    if (this.pressed === null) this.signalsLeft--;
    this.pressed = name;
    this.returnedSignal = null;
    this.listener.changed();
  }

  /** Withdraw the signal that has not been sent yet. */
  takeBack(): void {
    if (this.pressed === null) return;
    this.pressed = null;
    this.signalsLeft++;
    this.listener.changed();
  }

  /** The signal of the next message. */
  get pressedSignal(): string | null {
    return this.pressed;
  }

  /** Discard the counts since the last message, so that a pause leaves no trace. */
  forget(): void {
    this.measured_s = this.facing_s = 0;
    this.expression_s.clear();
  }

  /** Discard everything and stop sending. */
  end(): void {
    this.forget();
    this.queue = [];
    this.pressed = null;
    this.state = "ended";
    this.listener.changed();
  }

  private close(now_ms: number): void {
    const hasFace = this.measured_s >= 0.05;
    if (!hasFace && this.pressed === null) {
      this.forget();
      return;
    }
    this.queue.push({ body: this.message(++this.number), signal: this.pressed, made_ms: now_ms });
    this.forget();
    this.pressed = null;
    this.listener.changed();
  }

  private message(number: number): string {
    const { interval_s, expressions } = this.settings;
    const most_s = interval_s + TOLERANCE_S;
    const scale = this.measured_s > most_s ? interval_s / this.measured_s : 1;
    const tenths = (value: number): number => Math.round(10 * scale * value) / 10;
    const body: Record<string, unknown> = { number };
    if (this.measured_s >= 0.05) {
      body["measured_s"] = tenths(this.measured_s);
      body["facing_s"] = Math.min(tenths(this.facing_s), tenths(this.measured_s));
      if (expressions) {
        const shown = [...this.expression_s].map(([name, value]) => [name, tenths(value)] as const).filter(([, value]) => value > 0);
        body["expression_s"] = Object.fromEntries(shown);
      }
    }
    if (this.pressed !== null) body["signal"] = this.pressed;
    return JSON.stringify(body);
  }

  /** Return the signal of a message that is not counted, so that it can be sent again. */
  private giveBack({ signal }: Waiting): void {
    if (signal === null) return;
    this.signalsLeft++;
    this.returnedSignal = signal;
  }

  /** Drop messages that are older than a bin. The one being sent is kept, because the server may have counted it. */
  private dropOld(now_ms: number): void {
    const oldest_ms = now_ms - 1000 * this.settings.bin_s;
    const isKept = ({ made_ms }: Waiting, k: number): boolean => made_ms >= oldest_ms || (this.sending && k === 0);
    this.queue.filter((message, k) => !isKept(message, k)).forEach((message) => this.giveBack(message));
    this.queue = this.queue.filter(isKept);
  }

  private async flush(now_ms: number): Promise<void> {
    this.dropOld(now_ms);
    if (this.sending || this.queue.length === 0) return;
    this.sending = true;
    try {
      for (let first = this.queue[0]; first !== undefined; first = this.queue[0]) {
        const { status, sentence } = await this.post(first.body);
        if ((this.state as SenderState) === "ended") return;
        if (status === 0 || status >= 500) {
          this.state = "network away";
          break;
        }
        this.queue.shift();
        if (status === 401 || status === 403 || status === 410) {
          this.end();
          this.listener.ended(status);
          return;
        }
        this.refusal = "";
        if (status < 300 || status === 409) {
          this.state = "sent";
          this.last = first.body;
          continue;
        }
        this.giveBack(first);
        if (status === 425) this.state = "waiting for the lesson";
        else {
          this.state = "refused";
          this.refusal = sentence;
        }
      }
    } finally {
      this.sending = false;
      this.listener.changed();
    }
  }
}
