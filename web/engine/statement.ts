/** A session as one xAPI statement, the same as the desktop version sends at the end of a session. */

import { EMOTIONS, VERSION, XAPI } from "./constants.js";
import type { Tally } from "./tally.js";

/** An xAPI account: a name and the home page of its system. */
export interface Account {
  readonly homePage: string;
  readonly name: string;
}

/** Random ids of a session's statement, which do not change when it is saved again, so that a store keeps it once. */
export interface StatementNames {
  readonly id: string;
  readonly registration: string;
  readonly account: Account;
}

/** Return new ids with an anonymous account. */
export function newNames(): StatementNames {
  return { id: uuid(), registration: uuid(), account: { homePage: XAPI.accounts, name: uuid() } };
}

/** Return the statement about the end of a session with its totals, without data of single frames or faces. */
export function sessionStatement(tally: Tally, started_at: string, observables: boolean, names: StatementNames): Record<string, unknown> {
  const { id, registration, account } = names;
  const [iri, display] = XAPI.terminated;
  return {
    id,
    actor: { objectType: "Agent", account },
    verb: { id: iri, display: { en: display } },
    object: {
      objectType: "Activity",
      id: `${XAPI.base}/activities/sessions/${registration}`,
      definition: { type: XAPI.session_type, name: { en: "A session watched by Mien" } },
    },
    context: {
      registration,
      platform: `Mien ${VERSION}`,
      contextActivities: { category: [{ objectType: "Activity", id: XAPI.profile }] },
    },
    timestamp: later(started_at, tally.elapsed_s),
    version: "1.0.0",
    result: { duration: `PT${round(tally.elapsed_s, 2)}S`, extensions: sums(tally, observables) },
  };
}

function sums(tally: Tally, observables: boolean): Record<string, unknown> {
  const { intervals, label_s } = tally;
  const total = (name: "unread_s" | "facing_s" | "away_s"): number => intervals.reduce((sum, row) => sum + row[name], 0);
  const face_s = label_s.reduce((sum, value) => sum + value, 0);
  const [facing_s, away_s] = [total("facing_s"), total("away_s")];
  const found: Record<string, unknown> = {};
  const add = (name: string, value: unknown): void => void (found[`${XAPI.extensions}/${name}`] = value);
  add("face-seconds", round(observables ? face_s + total("unread_s") : face_s, 1));
  if (!observables && face_s >= XAPI.min_face_s) {
    add("expression-shares", Object.fromEntries(EMOTIONS.map((name, k) => [name, round(label_s[k]! / face_s, 3)])));
    const tracks = [...tally.tracks.values()];
    const count = (name: "readings" | "uncertain"): number => tracks.reduce((sum, track) => sum + track[name], 0);
    add("uncertain-share", round(count("uncertain") / Math.max(1, count("readings")), 3));
  }
  if (facing_s + away_s >= XAPI.min_face_s) add("facing-share", round(facing_s / (facing_s + away_s), 3));
  return found;
}

/** Return a time with its zone, some seconds later. */
function later(time: string, seconds: number): string {
  const zone = time.slice(-6); // such as +01:00
  const offset_ms = Date.parse(`1970-01-01T00:00:00${zone}`);
  return new Date(Date.parse(time) + 1000 * seconds - offset_ms).toISOString().replace("Z", zone);
}

function round(value: number, digits: number): number {
  const factor = 10 ** digits;
  return Math.round(value * factor) / factor;
}

/** Return a random UUID; `crypto.randomUUID` needs a secure context. */
function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
