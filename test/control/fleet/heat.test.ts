import { expect, it } from "vitest";
import { Heat } from "../../../src/control/fleet/heat.ts";
import { FakeClock } from "../../support/clock.ts";

const MINUTE = 60_000;

async function steady(everyMs: number, forMs: number): Promise<number> {
  const clock = new FakeClock({ turns: 1 });
  const heat = new Heat(clock);
  for (let passed = 0; passed < forMs; passed += everyMs) {
    heat.note("a", clock.now());
    await clock.advance(everyMs);
  }
  return heat.perMinute("a");
}

it("tells the rate of a model that is asked for steadily, after minutes and after hours", async () => {
  expect(await steady(10_000, 3 * MINUTE)).toBeCloseTo(6, 0);
  expect(await steady(10_000, 120 * MINUTE)).toBeCloseTo(6, 0);
});

it("halves every ten minutes, and is the same however often one looks", async () => {
  const clock = new FakeClock({ turns: 1 });
  const heat = new Heat(clock);
  for (let request = 0; request < 100; request++) heat.note("a", clock.now());
  await clock.advance(60 * MINUTE);
  const before = heat.perMinute("a");
  for (let minute = 0; minute < 10; minute++) {
    await clock.advance(MINUTE);
    heat.perMinute("a");
  }
  expect(heat.perMinute("a") / before).toBeCloseTo(0.5, 1);
});

it("takes one request for no more than one a minute", () => {
  const clock = new FakeClock();
  const heat = new Heat(clock);
  expect(heat.perMinute("a")).toBe(0);
  heat.note("a", clock.now());
  expect(heat.perMinute("a")).toBeCloseTo(1, 1);
});

it("begins anew after a long pause", async () => {
  const clock = new FakeClock({ turns: 1 });
  const heat = new Heat(clock);
  heat.note("a", clock.now());
  await clock.advance(24 * 60 * MINUTE);
  for (let request = 0; request < 6; request++) {
    heat.note("a", clock.now());
    await clock.advance(10_000);
  }
  expect(heat.perMinute("a")).toBeCloseTo(6, 0);
});
