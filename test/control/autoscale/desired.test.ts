import { describe, expect, it } from "vitest";
import { desiredReplicas, type Samples, type ScaleRule } from "../../../src/control/autoscale/desired.ts";

const RULE: ScaleRule = { target: 10, floor: 1, max: 8 };

function desired(samples: Partial<Samples> & { readonly current: number }, rule: Partial<ScaleRule> = {}): number {
  return desiredReplicas({ base: samples.current, average: 0, isStarved: false, ...samples }, { ...RULE, ...rule });
}

describe("how many replicas a model should have", () => {
  it.each([
    ["as many as there are while they have no more to do than they should", { current: 2, average: 20 }, 2],
    ["as many as it takes for none to have more to do than it should", { current: 4, average: 41 }, 5],
    ["at most twice as many as when the window began", { current: 1, average: 75 }, 2],
    ["no more than that while the window lasts", { current: 2, base: 1, average: 75 }, 2],
    ["as many as there are when those are more than twice the beginning", { current: 3, base: 1, average: 75 }, 3],
    [
      "one more where somebody waits although all are busy and none has too much to do",
      { current: 2, isStarved: true },
      3,
    ],
    ["what the load needs where that is more than one", { current: 4, average: 65, isStarved: true }, 7],
    ["one fewer where that was enough all the time", { current: 4, peak: 9 }, 3],
    ["as many as there are where one fewer would have had too much to do", { current: 2, average: 5, peak: 11 }, 2],
    ["as many as there are before the whole window was seen", { current: 4, average: 1 }, 4],
    ["one where nothing is to do: whether it runs at all is decided elsewhere", { current: 1, peak: 0 }, 1],
  ] as const)("is %s", (_, samples, count) => {
    expect(desired(samples)).toBe(count);
  });

  it("is never more than the most, nor fewer than the least", () => {
    expect(desired({ current: 4, average: 80 }, { max: 6 })).toBe(6);
    expect(desired({ current: 6, average: 80, isStarved: true }, { max: 6 })).toBe(6);
    expect(desired({ current: 3, peak: 0 }, { floor: 3 })).toBe(3);
  });

  it("leaves those alone that are more than the most, while they are needed", () => {
    expect(desired({ current: 9, average: 500, isStarved: true, peak: 500 })).toBe(9);
    expect(desired({ current: 9, peak: 75 })).toBe(8);
  });
});
