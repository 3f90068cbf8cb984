// Random lives of a gateway. A failing seed tells its story; `simulate({ seed, steps: STEPS })` replays it exactly.
import { describe, expect, it } from "vitest";
import { simulate } from "./simulation.ts";

const SEEDS = 200;
const STEPS = 100;

describe("whatever happens", () => {
  it(
    "no GPU is held twice, nothing busy is stopped, nothing is forgotten and everybody gets an answer",
    { timeout: 120_000 },
    async () => {
      for (let seed = 0; seed < SEEDS; seed++) await simulate({ seed, steps: STEPS });
    },
  );

  it("the same seed tells the same story", async () => {
    const stories = [await simulate({ seed: 7, steps: STEPS }), await simulate({ seed: 7, steps: STEPS })];
    expect(stories[0]).toBe(stories[1]);
    expect(stories[0]).toContain("is ready");
  });
});
