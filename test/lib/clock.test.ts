import { describe, expect, it } from "vitest";
import { deadline, sleep, systemClock } from "../../src/lib/clock.ts";
import { FakeClock } from "../support/clock.ts";

describe("the system clock", () => {
  it("fires once, and not after it was cancelled", async () => {
    let fired = 0;
    systemClock.setTimer(5, () => (fired += 1));
    systemClock.setTimer(5, () => (fired += 10)).cancel();
    await sleep(systemClock, 40);
    expect(fired).toBe(1);
  });

  it("does not fire at once when the delay is longer than setTimeout can hold", async () => {
    let fired = false;
    const timer = systemClock.setTimer(30 * 24 * 3_600_000, () => (fired = true));
    const forever = systemClock.setTimer(Infinity, () => (fired = true));
    await sleep(systemClock, 30);
    expect(fired).toBe(false);
    timer.cancel();
    forever.cancel();
  });
});

describe("sleep", () => {
  it("ends early with the signal's reason and leaves nothing behind", async () => {
    const clock = new FakeClock();
    const controller = new AbortController();
    const sleeping = sleep(clock, 1_000, controller.signal);
    controller.abort(new Error("enough"));
    await expect(sleeping).rejects.toThrow("enough");
    expect(clock.pending).toBe(0);
    await expect(sleep(clock, 1, controller.signal)).rejects.toThrow("enough");
  });
});

describe("a deadline", () => {
  it("aborts with its own reason when time is up, and with the parent's when that comes first", async () => {
    const clock = new FakeClock();
    const late = deadline(clock, 100, () => new Error("too late"));
    await clock.advance(101);
    expect(String(late.signal.reason)).toContain("too late");
    const parent = new AbortController();
    const child = deadline(clock, 100, () => new Error("too late"), parent.signal);
    parent.abort(new Error("parent"));
    expect(String(child.signal.reason)).toContain("parent");
    child.done();
    expect(clock.pending).toBe(0);
  });
});
