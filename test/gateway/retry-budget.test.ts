import { describe, expect, it } from "vitest";
import { RetryBudget } from "../../src/gateway/retry-budget.ts";

/** A budget on a clock that the test sets, and how many retries it allows at once. */
function setUp() {
  const time = { ms: 5_000 };
  const budget = new RetryBudget({ now: () => time.ms });
  const taken = () => {
    let count = 0;
    while (count < 1_000 && budget.tryTake()) count++;
    return count;
  };
  return { budget, time, taken };
}

describe("the budget of retries", () => {
  it("bears the death of a replica with many requests on their way to it", () => {
    expect(setUp().taken()).toBe(200);
  });

  it("allows ten a second once it is used up, whatever the traffic", () => {
    const { time, taken } = setUp();
    taken();
    time.ms += 1_000;
    expect(taken()).toBe(10);
    time.ms += 50;
    expect(taken()).toBe(0);
    time.ms += 50;
    expect(taken()).toBe(1);
  });

  it("allows one for five requests", () => {
    const { budget, taken } = setUp();
    taken();
    for (let request = 0; request < 100; request++) budget.noteRequest();
    // A fifth of a hundred, less what is lost in adding fractions.
    expect(Math.abs(taken() - 20)).toBeLessThanOrEqual(1);
  });

  it("saves up no more than it began with", () => {
    const { budget, time, taken } = setUp();
    for (let request = 0; request < 10_000; request++) budget.noteRequest();
    time.ms += 3_600_000;
    expect(taken()).toBe(200);
  });
});
