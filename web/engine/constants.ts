/** Constants of the engine, exported from Python (`python -m mien.web.constants`). */

import exported from "./constants.json" with { type: "json" };

export const EMOTIONS: readonly string[] = exported.emotions;
/** Colour of each class. */
export const COLOURS: Readonly<Record<string, string>> = exported.colours;
/** Valence and arousal of each class, -1 to 1. */
export const AFFECT: readonly (readonly number[])[] = exported.emotions.map(
  (name) => (exported.affect as Record<string, number[]>)[name] as number[],
);

export const FACING_YAW_DEG = exported.facing.yaw_deg;
export const FACING_PITCH_DEG = exported.facing.pitch_deg;
export const LONGEST_INTERVAL_S = exported.longest_interval_s;
export const NOT_PERMITTED = exported.not_permitted;
export const VERSION = exported.version;

export const CROP = exported.crop;
export const DETECTOR = exported.detector;
export const FINDER = exported.finder;
export const TRACKER = exported.tracker;
export const APPEARANCE = exported.appearance;
export const LEGIBILITY = exported.legibility;
export const POSE = exported.pose;
export const SMOOTHER = exported.smoother;
export const TREND = exported.trend;
export const TALLY = exported.tally;
export const EPISODES = exported.episodes;
export const PICTURES = exported.pictures;
/** Names of the xAPI profile. */
export const XAPI = exported.xapi;
/** Columns of `observations.csv`, the same as in the desktop version. */
export const COLUMNS: readonly string[] = exported.columns;
/** The columns if expressions may not be read. */
export const OBSERVABLE_COLUMNS: readonly string[] = exported.observable_columns;
