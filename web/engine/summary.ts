/** A session as files: `observations.csv` and `summary.json`, in the format of the desktop version. */

import type { AffectValues } from "./affect.js";
import { COLUMNS, EMOTIONS, OBSERVABLE_COLUMNS, TALLY, VERSION } from "./constants.js";
import type { FaceReading, FrameResult } from "./records.js";
import type { Interval, Tally, TrackSums } from "./tally.js";

/** Facts about a session other than its counts. */
export interface SessionFacts {
  readonly session_id: string;
  readonly started_at: string;
  readonly source: string;
  readonly model: string;
  readonly detector: string;
  readonly policy: "full" | "observables";
  readonly rule: string;
  readonly captured: number;
  readonly dropped: number;
  readonly fps: number;
}

/** Return the columns of `observations.csv`. */
export function columns(expressions: boolean): readonly string[] {
  return expressions ? COLUMNS : OBSERVABLE_COLUMNS;
}

/** Return the rows of a frame as lines of `observations.csv`, each with a line ending. */
export function csvRows(result: FrameResult, expressions: boolean): string {
  const shown = columns(expressions);
  return result.faces
    .map((face) => {
      const cells = cellsOf(face, result);
      return `${shown.map((name) => cells[name]).join(",")}\n`;
    })
    .join("");
}

function cellsOf(face: FaceReading, result: FrameResult): Record<string, string | number> {
  const { box, pose } = face;
  const read = !face.unread;
  const cells: Record<string, string | number> = {
    t_s: result.t_s.toFixed(4),
    frame: result.index,
    track_id: face.track_id,
    x: box.x.toFixed(1),
    y: box.y.toFixed(1),
    w: box.w.toFixed(1),
    h: box.h.toFixed(1),
    label: read ? face.label : "",
    confidence: read ? face.confidence.toFixed(4) : "",
    uncertain: read ? Number(face.uncertain) : "",
    unread: face.unread,
    facing: face.facing === null ? "" : Number(face.facing),
    yaw_deg: pose === null ? "" : pose.yaw_deg.toFixed(1),
    pitch_deg: pose === null ? "" : pose.pitch_deg.toFixed(1),
    roll_deg: pose === null ? "" : pose.roll_deg.toFixed(1),
  };
  EMOTIONS.forEach((name, k) => {
    cells[`${name}_raw`] = read ? face.raw[k]!.toFixed(4) : "";
    cells[`${name}_smoothed`] = read ? face.smoothed[k]!.toFixed(4) : "";
  });
  return cells;
}

/** Return a session in the format of the desktop version's `summary.json`, without expressions if they may not be read. */
export function summaryDocument(tally: Tally, affect: AffectValues | null, facts: SessionFacts): Record<string, unknown> {
  const expressions = facts.policy === "full";
  const tracks = [...tally.tracks].sort(([, a], [, b]) => a.first_s - b.first_s);
  const readings = tracks.reduce((sum, [, track]) => sum + track.readings, 0);
  const uncertain = tracks.reduce((sum, [, track]) => sum + track.uncertain, 0);
  const sums = (name: "unread_s" | "facing_s" | "away_s" | "empty_s"): number =>
    round(tally.intervals.reduce((sum, row) => sum + row[name], 0), 4);
  const facing_share = Number.isNaN(tally.facingShare) ? null : round(tally.facingShare, 4);
  const document: Record<string, unknown> = {
    fps: round(facts.fps, 2),
    ...(expressions ? expressionFacts(tally, affect) : {}),
    faces: facesOf(tally, expressions),
    session_id: facts.session_id,
    state: "ended",
    source: facts.source,
    model: facts.model,
    detector: facts.detector,
    version: VERSION,
    policy: facts.policy,
    rule: facts.rule,
    person: "",
    frames: tally.frames,
    frames_with_face: tally.framesWithFace,
    faces_max: tally.facesMax,
    captured: facts.captured,
    dropped: facts.dropped,
    readings,
    uncertain,
    presence_share: round(tally.presenceShare, 4),
    coverage: round(tally.coverage, 4),
    started_at: facts.started_at,
    duration_s: round(tally.elapsed_s, 3),
    interrupted: false,
    out: "",
    unread: tally.unread,
    facing_share,
    attention: {
      unread_s: sums("unread_s"),
      facing_s: sums("facing_s"),
      away_s: sums("away_s"),
      empty_s: sums("empty_s"),
      facing_share,
    },
    tracks: tracks.map(([track_id, track]) => ({
      track_id,
      first_s: round(track.first_s, 3),
      last_s: round(track.last_s, 3),
      readings: track.readings,
      uncertain: track.uncertain,
      ...(expressions ? shares(track.seconds.slice(0, EMOTIONS.length)) : {}),
      facing_s: round(track.seconds[EMOTIONS.length + 1]!, 4),
      away_s: round(track.seconds[EMOTIONS.length + 2]!, 4),
    })),
    timeline: tally.intervals.map((row) => timelineRow(row, expressions)),
  };
  if (expressions) {
    document["uncertain_share"] = round(uncertain / Math.max(1, readings), 4);
    document["distribution"] = shares(tally.label_s).distribution;
    document["transitions"] = nested(tally.episodes.transitions);
  }
  return document;
}

function timelineRow(row: Interval, expressions: boolean): Record<string, unknown> {
  return {
    from_s: round(row.from_s, 3),
    to_s: round(row.to_s, 3),
    ...(expressions ? shares(row.label_s) : {}),
    unread_s: round(row.unread_s, 4),
    facing_s: round(row.facing_s, 4),
    away_s: round(row.away_s, 4),
    empty_s: round(row.empty_s, 4),
  };
}

function expressionFacts(tally: Tally, affect: AffectValues | null): Record<string, unknown> {
  const dwell = Object.entries(tally.episodes.dwell).map(([name, row]) => [
    name,
    { count: row.count, mean_s: round(row.mean_s, 3), longest_s: round(row.longest_s, 3) },
  ]);
  return {
    valence: affect === null ? null : round(affect.valence, 4),
    arousal: affect === null ? null : round(affect.arousal, 4),
    entropy_bits: affect === null ? null : round(affect.entropy_bits, 4),
    dwell: Object.fromEntries(dwell),
    episodes: tally.episodes.episodes.map(({ track_id, label, start_s, end_s }) => ({
      track_id,
      label,
      start_s: round(start_s, 3),
      end_s: round(end_s, 3),
    })),
  };
}

/** Return the time of each face; faces beyond a maximum number are combined. */
function facesOf(tally: Tally, expressions: boolean): Record<string, unknown> {
  const found: Record<string, { presence_s: number; read_s: number; label_s: Record<string, number> }> = {};
  [...tally.tracks].forEach(([name, track]: [string, TrackSums], number) => {
    const face = (found[number < TALLY.faces_told ? name : TALLY.others] ??= { presence_s: 0, read_s: 0, label_s: {} });
    face.presence_s += track.presence_s;
    EMOTIONS.forEach((label, k) => {
      const seconds = track.seconds[k]!;
      if (seconds === 0) return;
      face.read_s += seconds;
      face.label_s[label] = (face.label_s[label] ?? 0) + seconds;
    });
  });
  return Object.fromEntries(
    Object.entries(found).map(([name, face]) => [
      name,
      expressions
        ? {
            presence_s: round(face.presence_s, 3),
            read_s: round(face.read_s, 3),
            label_s: Object.fromEntries(Object.entries(face.label_s).map(([label, value]) => [label, round(value, 3)])),
          }
        : { presence_s: round(face.presence_s, 3) },
    ]),
  );
}

function nested(transitions: readonly (readonly number[])[]): Record<string, Record<string, number>> {
  const found: Record<string, Record<string, number>> = {};
  transitions.forEach((row, before) =>
    row.forEach((count, after) => {
      if (count > 0) (found[EMOTIONS[before]!] ??= {})[EMOTIONS[after]!] = count;
    }),
  );
  return found;
}

function shares(label_s: readonly number[]): { face_s: number; distribution: Record<string, number> } {
  const total = label_s.reduce((sum, value) => sum + value, 0);
  const entries = EMOTIONS.map((name, k) => [name, total > 0 ? round(label_s[k]! / total, 4) : 0]);
  return { face_s: round(total, 4), distribution: Object.fromEntries(entries) };
}

function round(value: number, digits: number): number {
  const factor = 10 ** digits;
  return Math.round(value * factor) / factor;
}
