import { describe, expect, it } from "vitest";
import { Engine, type EngineOptions, type Job, type Ticket } from "../../src/sim/engine.ts";
import { EngineMetrics } from "../../src/sim/metrics.ts";
import { PrefixCache } from "../../src/sim/prefix-cache.ts";
import { FakeClock } from "../support/clock.ts";

function world(overrides: Partial<EngineOptions> = {}, blocks = 1000) {
  const clock = new FakeClock();
  const cache = new PrefixCache({ blocks, blockSize: 4, enabled: true });
  const metrics = new EngineMetrics();
  const engine = new Engine(
    {
      maxSequences: 8,
      maxBatchedTokens: 1000,
      prefillMsPerToken: 1,
      decodeMsPerToken: 10,
      decodeMsPerSequence: 2,
      ...overrides,
    },
    { clock, cache, metrics },
  );
  /** Submits and writes down when what happened. */
  const run = (prompt: readonly number[], outputTokens: number, job: Partial<Job> = {}) => {
    const events: string[] = [];
    const ticket: Ticket = engine.submit({
      prompt,
      output: tokens(outputTokens, 500),
      end: "stop",
      stallAfter: Infinity,
      onToken: (index) => events.push(`${index}@${clock.now()}`),
      onEnd: (reason) => events.push(`${reason}@${clock.now()}`),
      ...job,
    });
    return { events, ticket };
  };
  return { clock, cache, metrics, engine, run };
}

function tokens(count: number, first = 0): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

describe("Engine", () => {
  it("prefills, says the first token, then one per step", async () => {
    const { clock, run } = world();
    const { events } = run(tokens(10), 3);
    await clock.advance(1000);
    expect(events).toEqual(["0@10", "1@22", "2@34", "stop@34"]);
  });

  it("slows down as the batch grows", async () => {
    const { clock, run } = world({ prefillMsPerToken: 0 });
    const all = [run(tokens(4), 3), run(tokens(4, 50), 3), run(tokens(4, 90), 3)];
    await clock.advance(1000);
    // The first came alone into the first step; the steps with three of them cost 10 + 3 x 2.
    expect(all[0]?.events).toEqual(["0@0", "1@12", "2@28", "stop@28"]);
    expect(all[2]?.events).toEqual(["0@12", "1@28", "2@42", "stop@42"]);
  });

  it("prefills only what the cache does not have", async () => {
    const { clock, run, metrics } = world();
    run(tokens(40), 1);
    await clock.advance(1000);
    const { events, ticket } = run([...tokens(40), 7], 1);
    await clock.advance(1000);
    expect(ticket.cachedTokens).toBe(40);
    expect(events).toEqual(["0@1001", "stop@1001"]);
    expect(metrics.cacheQueries.values.get("")).toBe(81);
    expect(metrics.cacheHits.values.get("")).toBe(40);
  });

  it("remembers what it said as a part of the next prompt", async () => {
    const { clock, run } = world();
    run(tokens(6), 6);
    await clock.advance(1000);
    const { ticket } = run([...tokens(6), ...tokens(6, 500), 1, 2, 3], 1);
    expect(ticket.cachedTokens).toBe(12);
    await clock.advance(1000);
  });

  it("prefills a long prompt in steps of the token budget, beside what decodes", async () => {
    const { clock, run, metrics } = world({ maxBatchedTokens: 10 });
    const short = run(tokens(1), 4);
    await clock.advance(1);
    const long = run(tokens(20, 100), 1);
    await clock.advance(1000);
    // A step under way ends first; then 9 + 9 + 2 prompt tokens go along with the decoding one.
    expect(short.events).toEqual(["0@1", "1@13", "2@34", "3@55", "stop@55"]);
    expect(long.events).toEqual(["0@57", "stop@57"]);
    expect(metrics.iterationTokens.count).toBe(5);
    expect(metrics.iterationTokens.sum).toBe(24);
  });

  it("lets no more run than allowed, and takes the others in order", async () => {
    const { clock, run, engine } = world({ maxSequences: 1, prefillMsPerToken: 0 });
    const [first, second, third] = [run([1], 2), run([2], 2), run([3], 2)];
    expect([engine.running, engine.waiting]).toEqual([1, 2]);
    await clock.advance(1000);
    expect(first?.events.at(-1)).toBe("stop@12");
    expect(second?.events.at(-1)).toBe("stop@24");
    expect(third?.events.at(-1)).toBe("stop@36");
  });

  it("waits for room in the cache, even when a later one would fit", async () => {
    const { clock, run, engine } = world({}, 4);
    run(tokens(8), 4);
    const big = run(tokens(8, 100), 8);
    const small = run([1], 1);
    expect([engine.running, engine.waiting]).toEqual([1, 2]);
    await clock.advance(8 + 3 * 12);
    expect(big.events).toEqual([]);
    await clock.advance(1000);
    expect(big.events.at(-1)).toMatch(/^stop@/);
    expect(small.events.at(-1)).toMatch(/^stop@/);
  });

  it("frees the slot for the next step when a running one is aborted", async () => {
    const { clock, run, engine, metrics, cache } = world({ maxSequences: 1 });
    const first = run(tokens(10), 100);
    const second = run([1], 1);
    await clock.advance(30);
    first.ticket.abort();
    first.ticket.abort();
    expect(first.events.at(-1)).toBe("abort@30");
    expect([engine.running, engine.waiting]).toEqual([0, 1]);
    expect(metrics.finished.values.get("abort")).toBe(1);
    await clock.advance(1000);
    // The step under way ends at 34; the next one has the slot.
    expect(second.events).toEqual(["0@35", "stop@35"]);
    expect(cache.usage).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it("forgets a waiting one that is aborted", async () => {
    const { clock, run, engine } = world({ maxSequences: 1 });
    run(tokens(10), 1);
    const waiting = run(tokens(10, 50), 1);
    waiting.ticket.abort();
    expect(engine.waiting).toBe(0);
    await clock.advance(1000);
    expect(waiting.events).toEqual(["abort@0"]);
  });

  it("keeps its blocks right when one is aborted in the middle of its prefill", async () => {
    const { clock, run, cache } = world();
    const { ticket } = run(tokens(100), 5);
    await clock.advance(50);
    ticket.abort();
    expect(cache.usage).toBe(0);
    await clock.advance(1000);
    expect(cache.usage).toBe(0);
  });

  it("survives a listener that aborts another one of the same step", async () => {
    const { clock, run } = world({ prefillMsPerToken: 0 });
    const holder: { victim?: Ticket } = {};
    run([1], 5, { onToken: (index) => index === 1 && holder.victim?.abort() });
    const victim = run([2], 5);
    holder.victim = victim.ticket;
    await clock.advance(1000);
    expect(victim.events.at(-1)).toBe("abort@12");
  });

  it("makes no step while it is paused, and goes on afterwards", async () => {
    const { clock, run, engine, metrics } = world();
    const { events } = run(tokens(10), 2);
    await clock.advance(5);
    engine.pause();
    await clock.advance(1000);
    expect(events).toEqual([]);
    expect(engine.running).toBe(1);
    expect(metrics.iterationTokens.count).toBe(0);
    engine.resume();
    await clock.advance(1000);
    expect(events).toEqual(["0@1015", "1@1027", "stop@1027"]);
  });

  it("shows a stalled one as running without any progress", async () => {
    const { clock, run, engine, metrics } = world();
    const { events } = run(tokens(10), 10, { stallAfter: 2 });
    await clock.advance(10_000);
    expect(events).toEqual(["0@10", "1@22"]);
    expect(engine.running).toBe(1);
    expect(metrics.iterationTokens.count).toBe(2);
    engine.abortAll();
    expect(engine.running).toBe(0);
  });

  it("ends after the prefill when there is nothing to say", async () => {
    const { clock, run } = world();
    const { events } = run(tokens(10), 0);
    await clock.advance(1000);
    expect(events).toEqual(["stop@10"]);
  });

  it("aborts whatever runs or waits when told to", async () => {
    const { run, engine, cache } = world({ maxSequences: 1 });
    const all = [run([1], 5), run([2], 5)];
    engine.abortAll();
    expect(all.map(({ events }) => events)).toEqual([["abort@0"], ["abort@0"]]);
    expect(cache.usage).toBe(0);
  });
});
