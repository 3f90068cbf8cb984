// Compares ways to share out GPUs: `npm run bench:scheduling -- [--trace NAME] [--policy NAME] [--seed N] [--json]`.
import { parseArgs } from "node:util";
import { table } from "../../src/cli/table.ts";
import { POLICIES } from "./policies.ts";
import { run, type Result } from "./run.ts";
import { TRACES } from "./traces.ts";

const HEADS = [
  "TRACE",
  "POLICY",
  "SWAPS",
  "STARTS",
  "LOAD S",
  "GPU-S LOADING",
  "OF OURS",
  "WAIT P50",
  "P95",
  "MAX",
  "REFUSED",
  "SERVED",
];

const { values } = parseArgs({
  options: {
    trace: { type: "string", multiple: true, default: Object.keys(TRACES) },
    policy: { type: "string", multiple: true, default: POLICIES.map(({ name }) => name) },
    seed: { type: "string", default: "1" },
    json: { type: "boolean", default: false },
  },
});

const results = await runAll(values.trace, values.policy, Number(values.seed));
console.log(values.json ? JSON.stringify(results, undefined, 2) : tableOf(results));

async function runAll(traces: readonly string[], policies: readonly string[], seed: number): Promise<Result[]> {
  const results: Result[] = [];
  for (const name of traces) {
    const trace = known(TRACES, name)({ seed });
    if (!values.json) console.log(`${name}: ${trace.about}; ${trace.arrivals.length} requests`);
    for (const policy of policies) {
      const byName = Object.fromEntries(POLICIES.map((one) => [one.name, one]));
      results.push(await run(trace, known(byName, policy)));
    }
  }
  return results;
}

function known<T>(all: Readonly<Record<string, T>>, name: string): T {
  const found = all[name];
  if (found === undefined) throw new Error(`there is no ${name}; there is ${Object.keys(all).join(", ")}`);
  return found;
}

function tableOf(results: readonly Result[]): string {
  const rows = results.map((result) => {
    const ours = results.find(({ trace, policy }) => trace === result.trace && policy === "ours");
    const { p50, p95, max } = result.wait;
    return [
      result.trace,
      result.policy,
      `${result.swaps}`,
      `${result.starts}`,
      result.loadSeconds.toFixed(0),
      result.gpuLoadSeconds.toFixed(0),
      ours === undefined ? "" : `${(result.loadSeconds / ours.loadSeconds).toFixed(2)}x`,
      ...[p50, p95, max].map((seconds) => `${seconds.toFixed(1)}s`),
      `${result.refused}`,
      `${result.served}`,
    ];
  });
  return `\n${table(HEADS, rows)}`;
}
