import { expect, it } from "vitest";
import { Heat } from "../../../src/control/fleet/heat.ts";
import { FakeClock } from "../../support/clock.ts";

const HALF_LIFE_MS = 600_000;

it("counts requests, of which those of ten minutes ago count half", async () => {
  const clock = new FakeClock();
  const heat = new Heat(clock);
  expect(heat.of("a")).toBe(0);
  heat.note("a");
  heat.note("a");
  expect(heat.of("a")).toBe(2);
  await clock.advance(HALF_LIFE_MS);
  heat.note("a");
  expect(heat.of("a")).toBe(2);
  expect(heat.of("b")).toBe(0);
  await clock.advance(2 * HALF_LIFE_MS);
  expect(heat.of("a")).toBe(0.5);
});

it("is the same however often one looks", async () => {
  const clock = new FakeClock();
  const heat = new Heat(clock);
  heat.note("a");
  for (let minute = 0; minute < 10; minute++) {
    await clock.advance(60_000);
    heat.of("a");
  }
  expect(heat.of("a")).toBeCloseTo(0.5);
});
