/** Tests of alerts, which are rare and based on signals, never on faces. */

import { describe, expect, it } from "vitest";
import { Alerts } from "../teacher/alerts.js";
import type { TimelineBin } from "../teacher/api.js";

const SIGNALS = ["lost", "slower", "got it"];

function bins(counts: readonly number[], signal_error = 3, people: number | null = 50): TimelineBin[] {
  return counts.map((count, number) => ({
    number,
    from_s: 30 * number,
    to_s: 30 * number + 30,
    state: "published",
    people,
    measured: 40,
    facing: 0.1,
    facing_error: 0,
    expressions: [0, 0, 0, 0, 0, 1, 0],
    error: 0,
    signals: people === null ? null : [count, 0, 50],
    signal_error,
  }));
}

/** Return the alert of each bin. */
function told(counts: readonly number[], signal_error = 3, people: number | null = 50): string[] {
  const alerts = new Alerts(SIGNALS);
  const all = bins(counts, signal_error, people);
  return all.map((_, k) => alerts.look(all.slice(0, k + 1)));
}

describe("alerts", () => {
  it("tells once, and again only after it fell", () => {
    const said = told([0, 12, 14, 6, 12, 0, 15]);
    expect(said.map((text) => text !== "")).toEqual([false, true, false, false, false, false, true]);
    expect(said[1]).toContain("lost");
  });

  it("is silent where noise explains it, where nothing is published, and about faces and good news", () => {
    expect(told([6, 6, 6])).toEqual(["", "", ""]);
    expect(told([20, 20], 18)).toEqual(["", ""]);
    expect(told([40], 3, null)).toEqual([""]);
  });

  it("is raised three times in a lesson at most", () => {
    expect(told([20, 0, 20, 0, 20, 0, 20, 0, 20]).filter((text) => text !== "")).toHaveLength(3);
  });

  it("says nothing twice about the same bin", () => {
    const alerts = new Alerts(SIGNALS);
    expect(alerts.look(bins([20]))).not.toBe("");
    expect(alerts.look(bins([20]))).toBe("");
  });
});
