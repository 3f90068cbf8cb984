import { describe, expect, it } from "vitest";
import { Engine } from "../../src/sim/engine.ts";
import { EngineMetrics } from "../../src/sim/metrics.ts";
import { PrefixCache } from "../../src/sim/prefix-cache.ts";
import { SleepMode } from "../../src/sim/sleep-mode.ts";
import { FakeClock } from "../support/clock.ts";

function world() {
  const clock = new FakeClock();
  const cache = new PrefixCache({ blocks: 100, blockSize: 4, enabled: true });
  const speed = { prefillMsPerToken: 1, decodeMsPerToken: 10, decodeMsPerSequence: 0 };
  const engine = new Engine(
    { maxSequences: 8, maxBatchedTokens: 100, ...speed },
    { clock, cache, metrics: new EngineMetrics() },
  );
  const ends: string[] = [];
  engine.submit({
    prompt: [1, 2, 3, 4, 5],
    output: [6, 7, 8],
    end: "length",
    stallAfter: Infinity,
    onToken() {},
    onEnd: (reason) => ends.push(`${reason}@${clock.now()}`),
  });
  return { clock, engine, ends, mode: new SleepMode({ clock, engine, cache, sleepMs: 100, wakeMs: 300 }) };
}

const never = new AbortController().signal;

describe("SleepMode", () => {
  it("aborts what runs and takes its time", async () => {
    const { clock, ends, mode } = world();
    const asleep = mode.fallAsleep(2, "abort", never);
    expect(ends).toEqual(["abort@0"]);
    expect(mode.isSleeping).toBe(false);
    await clock.advance(100);
    await asleep;
    expect(mode).toMatchObject({ isSleeping: true, level: 2 });
  });

  it("sleeps only after the others when it is to wait for them", async () => {
    const { clock, ends, mode } = world();
    const asleep = mode.fallAsleep(1, "wait", never);
    await clock.advance(200);
    await asleep;
    expect(ends).toEqual(["length@25"]);
    expect(mode.isSleeping).toBe(true);
  });

  it("stays awake when whoever waited for the others gave up", async () => {
    const { clock, ends, mode } = world();
    const leaving = new AbortController();
    const asleep = mode.fallAsleep(1, "wait", leaving.signal);
    leaving.abort(new Error("gone"));
    await expect(asleep).rejects.toThrow("gone");
    await clock.advance(1000);
    expect(ends).toEqual(["length@25"]);
    expect(mode.isSleeping).toBe(false);
  });

  it("goes on where it was when it kept what ran", async () => {
    const { clock, ends, mode } = world();
    const asleep = mode.fallAsleep(0, "keep", never);
    await clock.advance(1000);
    await asleep;
    expect(mode).toMatchObject({ isSleeping: true, level: 0 });
    expect(ends).toEqual([]);
    const awake = mode.wake([]);
    await clock.advance(1000);
    await awake;
    expect(ends).toEqual(["length@1325"]);
    expect(mode.isSleeping).toBe(false);
  });

  it("is still asleep after its weights woke", async () => {
    const { clock, mode } = world();
    const asleep = mode.fallAsleep(2, "abort", never);
    await clock.advance(100);
    await asleep;
    for (const [tag, sleeping] of [
      ["weights", true],
      ["kv_cache", false],
    ] as const) {
      const woken = mode.wake([tag]);
      await clock.advance(300);
      await woken;
      expect(mode.isSleeping).toBe(sleeping);
    }
  });
});
