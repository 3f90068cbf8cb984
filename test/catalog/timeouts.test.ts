import { describe, expect, it } from "vitest";
import { timeoutsOf } from "../../src/catalog/timeouts.ts";

const DEFAULTS = {
  connectTimeoutMs: 2_000,
  firstByteTimeoutMs: 60_000,
  idleTimeoutMs: 30_000,
  totalTimeoutMs: Infinity,
};

describe("the limits of a model's requests", () => {
  it("are nobody's own where no recipe says anything", () => {
    expect(timeoutsOf([{}, {}], DEFAULTS)).toBeUndefined();
  });

  it("are the recipe's, and the configuration's where it is silent", () => {
    expect(timeoutsOf([{ timeouts: { idleTimeoutMs: 5, totalTimeoutMs: 7 } }], DEFAULTS)).toEqual({
      ...DEFAULTS,
      idleTimeoutMs: 5,
      totalTimeoutMs: 7,
    });
  });

  it("are the longest of each kind where several recipes serve the model", () => {
    const recipes = [
      { timeouts: { connectTimeoutMs: 1, idleTimeoutMs: 40_000 } },
      { timeouts: { connectTimeoutMs: 3 } },
    ];
    expect(timeoutsOf(recipes, DEFAULTS)).toEqual({ ...DEFAULTS, connectTimeoutMs: 3, idleTimeoutMs: 40_000 });
    expect(timeoutsOf([...recipes, {}], DEFAULTS)?.connectTimeoutMs).toBe(2_000);
  });
});
