/** Tests of the numbers in the summary of a session. */

import { describe, expect, it } from "vitest";
import { type Summary, frameTiles } from "../learner/summary_dialog.js";

function tiles(more: Partial<Summary>) {
  return frameTiles({ duration_s: 20, frames: 148, frames_with_face: 148, faces_max: 1, dropped: 237, coverage: 1, facing_share: 1, ...more });
}

describe("the summary", () => {
  it("names readings, skipped frames and faces", () => {
    expect(tiles({})).toEqual([["237 frames skipped", "148 readings"], ["face in view", "100% · one face"]]);
    expect(tiles({ frames: 1, frames_with_face: 1, faces_max: 5, dropped: 1 })).toEqual([
      ["1 frame skipped", "1 reading"],
      ["face in view", "100% · up to 5 faces"],
    ]);
    expect(tiles({ frames_with_face: 0, faces_max: 0 })[1]).toEqual(["face in view", "0%"]);
  });
});
