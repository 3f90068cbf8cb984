// The benchmark of routing, made small: what it promises of the default, and that the others are what they are called.
import { describe, expect, it } from "vitest";
import { runCell, type CellResult, type Place } from "../../bench/routing/cells.ts";
import { GENERATORS } from "../../bench/routing/generators.ts";
import { LEAST_IN_FLIGHT, ORACLE, OURS, POLICIES, ROUND_ROBIN, type Policy } from "../../bench/routing/policies.ts";
import { ANCHOR, verdicts } from "../../bench/routing/report.ts";
import { run } from "../../bench/routing/run.ts";
import { SPEED } from "../../bench/routing/speed.ts";
import { readTrace, tracesBeside } from "../../bench/routing/trace-file.ts";
import { atLoad, type Workload } from "../../bench/routing/workload.ts";

const PLACE: Place = { load: 0.75, replicas: 8, blocks: 2000, assumed: 1 };
const COMPARED = [ROUND_ROBIN, LEAST_IN_FLIGHT, OURS, ORACLE];

function made(name: string, seed = 0, requests = 1500): Workload {
  const generate = GENERATORS[name];
  if (generate === undefined) throw new Error(`there is no generator ${name}`);
  return generate({ seed, requests });
}

/** The mean time to the first token of each policy. */
function meansOf(workload: Workload, place: Place, policies: readonly Policy[] = COMPARED): Map<string, number> {
  const source = { name: workload.name, workloads: [workload] };
  return new Map(policies.map((policy) => [policy.name, runCell(source, place, policy).ttft.mean]));
}

function ratio(means: ReadonlyMap<string, number>, other: Policy): number {
  return (means.get(OURS.name) ?? NaN) / (means.get(other.name) ?? NaN);
}

describe("the default", () => {
  it.each(["chats", "shared-prompts", "agents", "random"])("is within a tenth of the oracle on %s", (name) => {
    const means = meansOf(made(name), { ...PLACE, load: 0.95 }, [OURS, ORACLE]);
    expect(ratio(means, ORACLE)).toBeLessThan(1.1);
  });

  it.each(["chats", "agents"])("takes 0.4 of round robin's time and half of least-in-flight's on busy %s", (name) => {
    const means = meansOf(made(name), { ...PLACE, load: 0.95 }, [ROUND_ROBIN, LEAST_IN_FLIGHT, OURS]);
    expect(ratio(means, ROUND_ROBIN)).toBeLessThan(0.4);
    expect(ratio(means, LEAST_IN_FLIGHT)).toBeLessThan(0.5);
  });

  it("is not worse than least-in-flight where no prompt knows another", () => {
    for (const load of [0.25, 0.5, 0.95]) {
      const means = meansOf(made("random"), { ...PLACE, load }, [OURS, LEAST_IN_FLIGHT]);
      expect(ratio(means, LEAST_IN_FLIGHT)).toBeLessThan(1.02);
    }
  });

  it("keeps hot prefixes where they are when there is more to do than can be done in time", () => {
    const sticky = POLICIES.filter(({ name }) => name === "sglang" || name.startsWith("chwbl"));
    const means = meansOf(made("hot-prefixes"), { ...PLACE, load: 0.5 }, [OURS, ...sticky]);
    for (const other of sticky) expect(ratio(means, other), other.name).toBeLessThan(0.8);
  });
});

const [conversation] = (await tracesBeside()).filter((file) => file.includes(ANCHOR.workload));

it.runIf(conversation)("keeps its promises on the first third of the public trace of conversations", async () => {
  const trace = await readTrace(conversation ?? "");
  const means = meansOf({ ...trace, asks: trace.asks.slice(0, 4000) }, ANCHOR);
  expect(ratio(means, ROUND_ROBIN)).toBeLessThanOrEqual(0.4);
  expect(ratio(means, LEAST_IN_FLIGHT)).toBeLessThanOrEqual(0.5);
  expect(ratio(means, ORACLE)).toBeLessThan(1.05);
});

describe("the others", () => {
  it.each(POLICIES)("answer every request, and the same way again: $name", (policy) => {
    const workload = atLoad(made("agents", 1, 300), 0.75, 4, SPEED);
    const [once, again] = [1, 2].map(() => run(workload, policy, { replicas: 4, speed: SPEED, seed: 5 }));
    expect(once).toEqual(again);
    expect(once?.ttft.mean).toBeGreaterThan(0);
    expect(once?.worstLoad).toBeGreaterThanOrEqual(1);
  });

  it("send what begins alike to one replica where they hash it, as far as its bound allows", () => {
    const [first, ...others] = choicesOf("chwbl-4", [0, 0, 0, 0, 60_000]);
    const last = others.pop();
    expect(last).toBe(first);
    // One in flight on a replica is a quarter over the mean until there are four.
    expect(others.slice(0, 2)).not.toContain(first);
  });

  it("follow the longest match until loads are 32 apart, where they do as SGLang does", () => {
    const sent = choicesOf(
      "sglang",
      Array.from({ length: 40 }, () => 0),
    );
    expect(new Set(sent.slice(0, 33)).size).toBe(1);
    expect(new Set(sent.slice(34)).size).toBeGreaterThan(1);
  });
});

/** Where a policy sends equal prompts that come at these times, on four replicas. */
function choicesOf(name: string, times: readonly number[]): number[] {
  const policy = POLICIES.find((one) => one.name === name);
  if (policy === undefined) throw new Error(`there is no policy ${name}`);
  const chosen: number[] = [];
  const noted: Policy = {
    ...policy,
    make: (options) => {
      const choose = policy.make(options);
      return (view) => {
        const choice = choose(view);
        chosen.push(choice);
        return choice;
      };
    },
  };
  const asks = times.map((atMs) => ({ atMs, tokens: 5 * 512, outputTokens: 10, blocks: [1, 2, 3, 4, 5] }));
  run({ name: "equal", about: "", asks }, noted, { replicas: 4, speed: SPEED, seed: 1 });
  return chosen;
}

it("says which promise is broken, and where", () => {
  const place = { workload: "random", load: 0.5, replicas: 4, blocks: 600, assumed: 1 };
  const result = (policy: string, mean: number): CellResult => ({
    ...place,
    policy,
    ttft: { mean, p50: mean, p99: mean },
    endToEnd: 1,
    hitRate: 0,
    worstLoad: 1,
  });
  const report = verdicts([result(OURS.name, 1.05), result(LEAST_IN_FLIGHT.name, 1), result(ORACLE.name, 1)]);
  expect(report).toMatch(/anything, of the oracle +110 % +105 % +kept +random at 50.0 %/);
  expect(report).toMatch(/random prompts, of least in flight +102 % +105 % +BROKEN/);
  expect(report).toMatch(/of round robin +40.0 % +not run/);
});
