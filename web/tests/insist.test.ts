/** Tests of requests that are repeated. */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { insist } from "../learner/insist.js";

describe("insist", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  async function asked(...statuses: number[]): Promise<[number | undefined, number]> {
    let count = 0;
    const answer = insist(() => {
      const status = statuses[count++] ?? 0;
      return status === 0 ? Promise.reject(new TypeError("Failed to fetch")) : Promise.resolve(new Response(null, { status }));
    });
    await vi.runAllTimersAsync();
    return [(await answer)?.status, count];
  }

  it("asks again until the server has answered", async () => {
    expect(await asked(0, 503, 429, 204)).toEqual([204, 4]);
    expect(await asked(410)).toEqual([410, 1]);
  });

  it("gives up after a few times", async () => {
    expect(await asked()).toEqual([undefined, 4]);
    expect(await asked(0, 0, 0, 503)).toEqual([503, 4]);
  });
});
