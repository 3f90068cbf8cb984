// The benchmark of the scheduler, on two traces: what it promises of ours, and that the others are what they are called.
import { describe, expect, it } from "vitest";
import { BASELINES, OURS } from "../../bench/scheduling/policies.ts";
import { run, type Result } from "../../bench/scheduling/run.ts";
import { TRACES, type Trace, type TraceOptions } from "../../bench/scheduling/traces.ts";

/** Settings of a gateway without a configuration, and the load of the alternating models, in seconds. */
const MIN_RESIDENCY = 450;
const MAX_WAIT = 540;
const LOAD = 60;
/** Until whoever has to give way has finished its longest answer, and has been taken down. */
const GIVING_WAY = 8;

function traceOf(name: string, options: TraceOptions): Trace {
  const make = TRACES[name];
  if (make === undefined) throw new Error(`there is no trace ${name}`);
  return make(options);
}

async function runAll(trace: Trace): Promise<ReadonlyMap<string, Result>> {
  const results = new Map<string, Result>();
  for (const policy of [OURS, ...BASELINES]) results.set(policy.name, await run(trace, policy));
  return results;
}

function of(results: ReadonlyMap<string, Result>, policy: string): Result {
  const result = results.get(policy);
  if (result === undefined) throw new Error(`${policy} was not run`);
  return result;
}

describe("two models that are asked for in turn", async () => {
  const trace = traceOf("alternating", { seed: 1 });
  const results = await runAll(trace);
  const ours = of(results, "ours");

  it("change places no more often than the least residency allows", () => {
    expect(ours.swaps).toBeGreaterThan(0);
    expect(ours.swaps).toBeLessThanOrEqual(trace.durationMs / 1_000 / MIN_RESIDENCY);
  });

  it("keep nobody waiting for longer than the most that requests wait, and a load", () => {
    expect(ours.wait.max).toBeLessThanOrEqual(MAX_WAIT + LOAD + GIVING_WAY);
    expect([ours.served, ours.refused]).toEqual([trace.arrivals.length, 0]);
  });

  it.each(["lru", "fifo-swap"])("spend a fifth of the time on loading that they do under %s", (policy) => {
    expect(of(results, policy).loadSeconds).toBeGreaterThanOrEqual(5 * ours.loadSeconds);
  });

  it("leave half of those who ask without an answer where nobody is evicted", () => {
    const { swaps, starts, refused } = of(results, "no-eviction");
    expect({ swaps, starts, refused }).toEqual({ swaps: 0, starts: 1, refused: trace.arrivals.length / 2 });
  });
});

describe("chats with side-requests to a small model", async () => {
  const trace = traceOf("side-requests", { seed: 1 });
  const results = await runAll(trace);

  it("lose a fifth of the time to loads, at most, that they do where the least recently used model goes at once", () => {
    const ours = of(results, "ours");
    expect(of(results, "lru").loadSeconds).toBeGreaterThanOrEqual(5 * ours.loadSeconds);
    expect(ours.refused).toBe(0);
  });

  it("ask for a title only when the chat was answered", () => {
    const { served, refused } = of(results, "no-eviction");
    expect(served + refused).toBe(2 * trace.arrivals.length);
    expect(refused).toBe(trace.arrivals.length);
  });
});

it("comes to the same results with the same seed, and to others with another", async () => {
  const runs = [1, 1, 2].map((seed) => run(traceOf("zipf", { seed, scale: 0.1 }), OURS));
  const [first, again, other] = await Promise.all(runs);
  expect(again).toEqual(first);
  expect(other).not.toEqual(first);
});
