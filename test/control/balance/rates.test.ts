import { describe, expect, it } from "vitest";
import { ModelRate, PrefillRate } from "../../../src/control/balance/rates.ts";

/** Reads prompts of so many tokens one by one, each at that many tokens a second. */
function read(rate: PrefillRate, tokens: number, perSecond: number, times: number): void {
  for (let time = 0; time < times; time++) rate.note(tokens, (tokens / perSecond) * 1000);
}

describe("the rate at which a replica reads", () => {
  it("is the usual one before anything was seen", () => {
    expect(new PrefillRate(new ModelRate()).perSecond).toBe(10_000);
  });

  it.each([500, 3_000, 80_000])("comes to be %d tokens a second where that is what is seen", (perSecond) => {
    const rate = new PrefillRate(new ModelRate());
    read(rate, 4_000, perSecond, 2_000);
    expect(rate.perSecond / perSecond).toBeCloseTo(1, 1);
  });

  it("is that of its model where little was seen of itself", () => {
    const model = new ModelRate();
    read(new PrefillRate(model), 4_000, 3_000, 100);
    const fresh = new PrefillRate(model);
    expect(fresh.perSecond).toBe(model.perSecond);
    read(fresh, 4_000, 6_000, 1);
    expect(fresh.perSecond / model.perSecond).toBeLessThan(1.1);
  });

  it("differs from that of its model where it differs for long", () => {
    const model = new ModelRate();
    const [slow, fast] = [new PrefillRate(model), new PrefillRate(model)];
    for (let round = 0; round < 200; round++) {
      read(slow, 4_000, 2_000, 1);
      read(fast, 4_000, 8_000, 4);
    }
    expect(fast.perSecond / slow.perSecond).toBeGreaterThan(2);
  });

  it("is not carried away by one answer that took for ever, or no time", () => {
    const rate = new PrefillRate(new ModelRate());
    read(rate, 4_000, 5_000, 100);
    const before = rate.perSecond;
    rate.note(4_000, 600_000);
    expect(rate.perSecond / before).toBeGreaterThan(0.9);
    for (let time = 0; time < 3; time++) rate.note(4_000, 0);
    expect(rate.perSecond / before).toBeLessThan(1.15);
  });

  it("takes prompts that are read together together", () => {
    const rate = new PrefillRate(new ModelRate());
    for (let batch = 0; batch < 300; batch++) for (let one = 0; one < 10; one++) rate.note(400, one === 0 ? 1_000 : 0);
    expect(rate.perSecond / 4_000).toBeCloseTo(1, 0);
    expect(Math.abs(rate.perSecond / 4_000 - 1)).toBeLessThan(0.1);
  });

  it("follows a replica that becomes slower", () => {
    const rate = new PrefillRate(new ModelRate());
    read(rate, 4_000, 10_000, 1_000);
    read(rate, 4_000, 2_500, 200);
    expect(rate.perSecond).toBeLessThan(3_500);
  });

  it("is above 0 and finite, whatever is noted", () => {
    const rate = new PrefillRate(new ModelRate());
    for (const [tokens, ms] of [
      [0, 0],
      [1e9, 0],
      [2_048, 1e12],
      [0, 1e12],
    ] as const) {
      for (let time = 0; time < 100; time++) rate.note(tokens, ms);
      expect(rate.perSecond).toBeGreaterThan(0);
      expect(rate.perSecond).toBeLessThan(Infinity);
    }
  });
});
