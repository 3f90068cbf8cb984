import { describe, expect, it } from "vitest";
import { Patience } from "../../../src/control/fleet/patience.ts";
import { FakeClock } from "../../support/clock.ts";

const SECOND = 1_000;

/** Somebody waits for `a` for so long, then nobody does for so long. */
async function visit(patience: Patience, clock: FakeClock, waitMs: number, pauseMs: number): Promise<void> {
  patience.begin("a");
  await clock.advance(waitMs);
  patience.pause("a");
  await clock.advance(pauseMs);
}

function setUp(): { readonly clock: FakeClock; readonly patience: Patience } {
  const clock = new FakeClock();
  return { clock, patience: new Patience(clock) };
}

describe("the time for which a model is waited for", () => {
  it("adds up over those who give up and ask again, without their pauses", async () => {
    const { clock, patience } = setUp();
    await visit(patience, clock, 50 * SECOND, 10 * SECOND);
    await visit(patience, clock, 50 * SECOND, 10 * SECOND);
    patience.begin("a");
    expect(clock.now() - patience.since("a")).toBe(100 * SECOND);
    await clock.advance(5 * SECOND);
    patience.begin("a");
    expect(clock.now() - patience.since("a")).toBe(105 * SECOND);
  });

  it("is forgotten when nobody asks again for a minute", async () => {
    const { clock, patience } = setUp();
    await visit(patience, clock, 50 * SECOND, 61 * SECOND);
    patience.begin("a");
    expect(patience.since("a")).toBe(clock.now());
  });

  it("does not run while nobody waits, nor for another model", async () => {
    const { clock, patience } = setUp();
    expect(patience.since("a")).toBe(Infinity);
    await visit(patience, clock, 50 * SECOND, 10 * SECOND);
    patience.pause("a");
    expect(patience.since("a")).toBe(Infinity);
    patience.begin("b");
    expect(patience.since("b")).toBe(clock.now());
  });

  it("begins anew when somebody was served, be it that others still wait", async () => {
    const { clock, patience } = setUp();
    patience.begin("a");
    await clock.advance(50 * SECOND);
    patience.end("a", { waiting: 2 });
    await clock.advance(5 * SECOND);
    expect(clock.now() - patience.since("a")).toBe(5 * SECOND);
    patience.end("a", { waiting: 0 });
    patience.pause("a");
    patience.begin("a");
    expect(patience.since("a")).toBe(clock.now());
  });
});
