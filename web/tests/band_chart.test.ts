/** Tests of the measures of the timeline's chart. */

import { describe, expect, it } from "vitest";
import { RIGHT, axisTimes, layoutFor } from "../teacher/band_chart.js";

describe("the chart of the timeline", () => {
  it("has several labels on its axis in every width, with space between them", () => {
    for (const width of [320, 390, 640, 1400]) {
      const plot = width - layoutFor(width).left - RIGHT;
      for (const length_s of [1800, 3600, 5400, 4 * 3600]) {
        const times = axisTimes(length_s, plot);
        expect(times.length).toBeGreaterThanOrEqual(3);
        expect(times.length).toBeLessThanOrEqual(10);
        expect((plot * times[1]!) / length_s).toBeGreaterThanOrEqual(60);
      }
    }
  });
});
