import { describe, expect, it } from "vitest";
import { sleep } from "../../src/lib/clock.ts";
import { startLoop } from "../../src/lib/loop.ts";
import { FakeClock, settle } from "../support/clock.ts";

function countingLoop(clock: FakeClock, runMs = 0) {
  const seen = { runs: 0, overlaps: 0, errors: [] as unknown[] };
  let running = false;
  const loop = startLoop({
    clock,
    everyMs: 1_000,
    async run(signal) {
      if (running) seen.overlaps += 1;
      running = true;
      seen.runs += 1;
      try {
        await sleep(clock, runMs, signal);
      } finally {
        running = false;
      }
    },
    onError: (error) => seen.errors.push(error),
  });
  return { loop, seen };
}

describe("a loop", () => {
  it("runs at once and then after each pause", async () => {
    const clock = new FakeClock();
    const { loop, seen } = countingLoop(clock);
    await clock.advance(10);
    expect(seen.runs).toBe(1);
    await clock.advance(3_000);
    expect(seen.runs).toBe(4);
    await loop.stop();
  });

  it("runs at once when kicked, and once more when kicked during a run, never twice at a time", async () => {
    const clock = new FakeClock();
    const { loop, seen } = countingLoop(clock, 100);
    await clock.advance(500);
    loop.kick();
    await clock.advance(50);
    expect(seen.runs).toBe(2);
    for (let time = 0; time < 5; time++) loop.kick();
    await clock.advance(500);
    expect(seen).toMatchObject({ runs: 3, overlaps: 0 });
    await loop.stop();
  });

  it("goes on after a fault, which is reported", async () => {
    const clock = new FakeClock();
    const errors: unknown[] = [];
    let runs = 0;
    const loop = startLoop({
      clock,
      everyMs: 1_000,
      run: () => Promise.reject(new Error(`run ${++runs}`)),
      onError: (error) => errors.push(error),
    });
    await clock.advance(1_500);
    expect(errors.map(String)).toEqual(["Error: run 1", "Error: run 2"]);
    await loop.stop();
  });

  it("stops in the middle of a run or a pause, and leaves no timer", async () => {
    const clock = new FakeClock();
    const { loop, seen } = countingLoop(clock, 60_000);
    await clock.advance(10);
    await loop.stop();
    await loop.stop();
    await settle();
    expect(seen.errors).toEqual([]);
    expect(clock.pending).toBe(0);
  });
});
