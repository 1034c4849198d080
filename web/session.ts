/** A session in the page: its counts, trend and rows. */

import { Affect, type AffectValues, Trend, type TrendPoint } from "./engine/affect.js";
import type { FrameResult } from "./engine/records.js";
import { newNames, sessionStatement } from "./engine/statement.js";
import { type SessionFacts, columns, csvRows, summaryDocument } from "./engine/summary.js";
import { Tally } from "./engine/tally.js";

/** Text is moved into blobs in pieces of this many characters, because blobs are not in the page's heap. */
const PIECE = 1 << 16;

/** An append-only table that is stored outside the heap. */
class Rows {
  private readonly pieces: Blob[] = [];
  private text: string;

  constructor(head: readonly string[]) {
    this.text = `${head.join(",")}\n`;
  }

  append(rows: string): void {
    this.text += rows;
    if (this.text.length > PIECE) {
      this.pieces.push(new Blob([this.text]));
      this.text = "";
    }
  }

  blob(): Blob {
    return new Blob([...this.pieces, this.text], { type: "text/csv" });
  }
}

/** Frames a second over the last two seconds. */
export class Rate {
  private times: number[] = [];

  tick(now_ms: number): void {
    this.times.push(now_ms);
    while (now_ms - this.times[0]! > 2000) this.times.shift();
  }

  perSecond(now_ms: number): number {
    const { times } = this;
    if (times.length < 2 || now_ms - times.at(-1)! > 2000) return 0;
    return ((times.length - 1) * 1000) / Math.max(1, times.at(-1)! - times[0]!);
  }
}

/** Source, networks and policy of a session. */
export type SessionOrigin = Pick<SessionFacts, "source" | "model" | "detector" | "policy" | "rule">;

/** Counts, trend and rows of one session. */
export class Session {
  readonly started = new Date();
  readonly id: string;
  readonly tally = new Tally();
  readonly affect = new Affect();
  trend = new Trend();
  captured = 0;
  readonly capturedRate = new Rate();
  readonly processedRate = new Rate();
  private readonly names = newNames();
  private readonly rows: Rows;
  private readonly began_ms = performance.now();

  constructor(readonly origin: SessionOrigin) {
    this.id = sessionId(this.started);
    this.rows = new Rows(columns(this.hasExpressions));
  }

  get hasExpressions(): boolean {
    return this.origin.policy === "full";
  }

  get distribution(): readonly number[] {
    return this.tally.distribution;
  }

  get affectNow(): AffectValues {
    return this.affect.now;
  }

  get trendPoints(): readonly TrendPoint[] {
    return this.trend.points;
  }

  update(result: FrameResult): void {
    this.processedRate.tick(performance.now());
    this.tally.update(result);
    this.affect.update(result);
    this.trend.update(result);
    this.rows.append(csvRows(result, this.hasExpressions));
  }

  /** Reset the statistics on screen; files are not affected. */
  resetScreen(): void {
    this.tally.resetScreen();
    this.trend = new Trend();
  }

  /** Return all readings as `observations.csv`. */
  observations(): Blob {
    return this.rows.blob();
  }

  /** Return the session as an xAPI statement with an anonymous account. */
  statement(): Record<string, unknown> {
    return sessionStatement(this.tally, localIso(this.started), !this.hasExpressions, this.names);
  }

  /** Return the summary in the format of `summary.json`. */
  summary(dropped: number): Record<string, unknown> {
    const wall_s = Math.max(1e-9, (performance.now() - this.began_ms) / 1000);
    const { captured } = this;
    return summaryDocument(this.tally, this.affect.mean, {
      ...this.origin,
      session_id: this.id,
      started_at: localIso(this.started),
      captured,
      dropped,
      fps: this.tally.frames / wall_s,
    });
  }
}

const LETTERS = "abcdefghjkmnpqrstuvwxyz23456789";

/** Return a session id: the start time and four random letters. */
function sessionId(start: Date): string {
  const day = `${start.getFullYear()}-${two(start.getMonth() + 1)}-${two(start.getDate())}`;
  const time = `${two(start.getHours())}-${two(start.getMinutes())}-${two(start.getSeconds())}`;
  const ending = Array.from(crypto.getRandomValues(new Uint8Array(4)), (byte) => LETTERS[byte % LETTERS.length]).join("");
  return `${day}_${time}-${ending}`;
}

/** Return a time with its zone in the format of Python's `isoformat`. */
function localIso(time: Date): string {
  const offset = -time.getTimezoneOffset();
  const zone = `${offset < 0 ? "-" : "+"}${two(Math.trunc(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
  return new Date(time.getTime() + 60000 * offset).toISOString().replace("Z", zone);
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}
