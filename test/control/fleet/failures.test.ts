// How long a recipe is left alone after what went wrong.
import { describe, expect, it } from "vitest";
import { Failures } from "../../../src/control/fleet/failures.ts";
import { FakeClock } from "../../support/clock.ts";

const failure = { cause: "crashed", message: "", advice: "", lastLines: [] };
const MINUTE = 60_000;

describe("failures", () => {
  it("keep new starts back for 10 s, doubling to 300 s, and allow no more than three in ten minutes", async () => {
    const clock = new FakeClock();
    const failures = new Failures(clock);
    const seconds: number[] = [];
    for (let count = 0; count < 9; count++) {
      seconds.push(clock.now() / 1000);
      await clock.advance(failures.record("a", failure).until - clock.now());
    }
    expect(seconds).toEqual([0, 10, 30, 600, 680, 840, 1200, 1500, 1800]);
    const mostInTenMinutes = Math.max(
      ...seconds.map((from) => seconds.filter((at) => at >= from && at < from + 600).length),
    );
    expect(mostInTenMinutes).toBe(3);
  });

  it("of one that had worked allow one start at once, and are forgiven after ten minutes of service", () => {
    const failures = new Failures(new FakeClock());
    expect(failures.record("a", failure, 5_000).until).toBe(0);
    expect(failures.record("a", failure, 5_000).until).toBe(10_000);
    expect(failures.record("a", failure, 10 * MINUTE).until).toBe(0);
    expect(failures.record("a", failure, 5_000).until).toBe(10_000);
  });

  it("of those that had worked make the pauses longer, and never stop the starts", async () => {
    const clock = new FakeClock();
    const failures = new Failures(clock);
    const pauses: number[] = [];
    for (let count = 0; count < 9; count++) {
      const { until } = failures.record("a", failure, 5_000);
      pauses.push((until - clock.now()) / 1000);
      await clock.advance(until - clock.now());
    }
    expect(pauses).toEqual([0, 10, 20, 40, 80, 160, 300, 300, 300]);
  });

  it("of those that had worked do not end a stop after three starts that failed", async () => {
    const clock = new FakeClock();
    const failures = new Failures(clock);
    for (let count = 0; count < 3; count++) failures.record("a", failure);
    await clock.advance(MINUTE);
    expect(failures.record("a", failure, 2 * MINUTE).until).toBe(10 * MINUTE);
  });

  it("are forgotten when nothing failed for ten minutes after the last pause", async () => {
    const clock = new FakeClock();
    const failures = new Failures(clock);
    for (let count = 0; count < 3; count++) failures.record("a", failure);
    await clock.advance(20 * MINUTE - 1);
    expect(failures.record("a", failure).count).toBe(4);
    await clock.advance(20 * MINUTE + 80_000);
    expect(failures.record("a", failure)).toMatchObject({ count: 1, until: clock.now() + 10_000 });
  });

  it("are forgiven when an operator launches", () => {
    const failures = new Failures(new FakeClock());
    for (let count = 0; count < 3; count++) failures.record("a", failure);
    failures.forgive("a");
    expect(failures.active().size).toBe(0);
    expect(failures.record("a", failure).until).toBe(10_000);
  });

  it("that are no fault of the recipe keep starts back, but do not add up, nor shorten a pause", () => {
    const failures = new Failures(new FakeClock());
    const away = { ...failure, counts: false };
    expect([failures.note("a", away), failures.note("a", away)]).toEqual([10_000, 10_000]);
    expect(failures.note("a", away, 5_000)).toBe(0);
    for (let count = 0; count < 2; count++) failures.record("a", failure);
    expect(failures.note("a", away)).toBe(20_000);
    expect(failures.last("a")?.count).toBe(2);
  });

  it("that may go better elsewhere keep nothing back, unless they come one after another", async () => {
    const clock = new FakeClock();
    const failures = new Failures(clock);
    const taken = { ...failure, counts: false, retryAtOnce: true } as const;
    expect(failures.note("a", taken)).toBe(0);
    expect([failures.active().size, failures.last("a")]).toEqual([0, undefined]);
    expect(failures.note("a", taken)).toBe(1_000);
    await clock.advance(10_000);
    expect(failures.note("a", taken)).toBe(10_000);
  });

  it("are remembered as the reason until a start succeeds", async () => {
    const clock = new FakeClock();
    const failures = new Failures(clock);
    failures.record("a", failure);
    await clock.advance(20_000);
    expect(failures.active().size).toBe(0);
    expect(failures.last("a")).toMatchObject({ cause: "crashed" });
    failures.recovered("a");
    expect(failures.last("a")).toBeUndefined();
    expect(failures.record("a", failure).count).toBe(2);
    expect(failures.last("a")).toMatchObject({ cause: "crashed" });
  });
});
