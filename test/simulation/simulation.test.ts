// Random lives of a gateway: new ones in each run, and those in which something was broken once. A failing seed tells its story
// and the command that plays it again.
import { describe, expect, it } from "vitest";
import { systemClock } from "../../src/lib/clock.ts";
import { sail } from "./crew.ts";
import { REGRESSIONS } from "./regressions.ts";
import { simulate } from "./simulation.ts";

const SEEDS = 1_000;
const STEPS = 300;
const ROOT = new URL("../../", import.meta.url);

describe("whatever happens", () => {
  it(
    "no GPU is held twice, nothing busy is stopped, nothing is forgotten and everybody gets an answer",
    { timeout: 300_000 },
    async () => {
      // A thousand seeds that no run before had.
      const from = Math.floor(systemClock.wallNow() / 1_000) * SEEDS;
      const { played, failure } = await sail({ from, count: SEEDS, steps: STEPS, root: ROOT });
      const again = `npm run test:simulation -- --seed ${failure?.seed} --seeds 1 --steps ${STEPS}`;
      expect.soft(failure?.message, again).toBeUndefined();
      expect(played, `lives from seed ${from}`).toBe(SEEDS);
    },
  );

  it.each(REGRESSIONS)("no more (seed $seed): $found", { timeout: 60_000 }, async ({ seed, steps }) => {
    await expect(simulate({ seed, steps })).resolves.toContain("is gone");
  });

  it("the same seed tells the same story, line by line", async () => {
    const stories = [await simulate({ seed: 7, steps: STEPS }), await simulate({ seed: 7, steps: STEPS })];
    expect(stories[0]).toBe(stories[1]);
    expect(stories[0]).toContain("is ready");
  });

  it("another seed tells another story", async () => {
    expect(await simulate({ seed: 8, steps: 20 })).not.toBe(await simulate({ seed: 9, steps: 20 }));
  });
});
