// The tables of a run: medians over the repetitions, beside nginx's.
import { table } from "../../src/cli/table.ts";
import { barsTable } from "./bars.ts";
import type { Figures, Quantiles } from "./measure.ts";
import { addedTo, ofFigures, ofTrials, overIdle, quantilesOf, ratioTo, type Place, type Times } from "./medians.ts";
import type { Results } from "./run.ts";
import type { Workload } from "./workloads.ts";

/** What they all show, at the end of each line; the load side must have room for the figures to be the proxy's. */
const USAGE_HEADS = ["PROXY CPU", "MOCK", "LOAD", "OTHERS", "MB OVER IDLE"];

/** Lines without a newline at the end. */
export function report(results: Results): string {
  const tables = results.workloads.map((workload) => {
    const lines = workload.stream === undefined ? answersTable(workload, results) : streamsTable(workload, results);
    return `${workload.name}: ${workload.about}\n${lines}`;
  });
  const readings = results.readings.length > 0 ? [readingsTable(results)] : [];
  const bars = barsTable(results);
  const missing = Object.entries(results.missing).map(([name, why]) => `not compared: ${name}: ${why}`);
  const faults = results.trials.flatMap((trial) => trial.faults.map((fault) => `FAILED: ${fault}`));
  const end = [...(bars === undefined ? [] : [bars]), ...missing, ...faults];
  return ["", ...tables, ...readings, proxiesTable(results), ...end].join("\n\n");
}

function answersTable({ name: workload }: Workload, results: Results): string {
  const heads = ["PROXY", "REQUESTS/S", "CPU US/REQUEST", "X NGINX", "MS P50/P99", "ADDED", ...USAGE_HEADS];
  const rows = results.variants.map((variant) => {
    const at = { variant, workload };
    return [
      variant,
      count(ofFigures(results, at, ({ perSecond }) => perSecond.requests)),
      ...costs(results, at, ({ cpuUs }) => cpuUs.perRequest),
      ...times(results, at, ({ latency }) => latency),
      ...usage(results, at),
    ];
  });
  return table(heads, rows);
}

function streamsTable({ name: workload }: Workload, results: Results): string {
  const timeHeads = ["TTFT MS P50/P99", "ADDED", "DELAY MS P50/P99", "ADDED"];
  const heads = ["PROXY", "CHUNKS/S", "CPU US/CHUNK", "X NGINX", ...timeHeads, ...USAGE_HEADS];
  const rows = results.variants.map((variant) => {
    const at = { variant, workload };
    return [
      variant,
      count(ofFigures(results, at, ({ perSecond }) => perSecond.chunks)),
      ...costs(results, at, ({ cpuUs }) => cpuUs.perChunk),
      ...times(results, at, ({ firstEvent }) => firstEvent),
      ...times(results, at, ({ delay }) => delay),
      ...usage(results, at),
    ];
  });
  return table(heads, rows);
}

/** Without a proxy there are none. */
function costs(results: Results, at: Place, of: (figures: Figures) => number): string[] {
  if (at.variant === "direct") return ["", ""];
  return [number(ofFigures(results, at, of), 1), number(ratioTo("nginx", results, at, of), 2)];
}

function times(results: Results, at: Place, of: Times): string[] {
  return [pair(quantilesOf(results, at, of)), at.variant === "direct" ? "" : pair(addedTo(results, at, of))];
}

function usage(results: Results, at: Place): string[] {
  const shares = (["proxy", "mock", "load", "foreign"] as const).map((who) =>
    ofFigures(results, at, ({ share }) => share[who]),
  );
  const memory = at.variant === "direct" ? "" : number(overIdle(results, at), 0);
  return [...shares.map((share) => `${Math.round(share * 100)} %`), memory];
}

function readingsTable({ readings }: Results): string {
  const rows = readings.map(({ workload, readUs, copyUs }) => [
    workload,
    number(readUs, 1),
    number(copyUs, 1),
    number(readUs / copyUs, 2),
  ]);
  return `our look at a prompt, by itself\n${table(["PROMPT", "US", "US OF A COPY", "RATIO"], rows)}`;
}

function proxiesTable(results: Results): string {
  const rows = results.variants.map((variant) => {
    const own = (of: Parameters<typeof ofTrials>[2]) => number(ofTrials(results, variant, of), 0);
    const memory = variant === "direct" ? ["", ""] : [own(({ freshMb }) => freshMb), own(({ idleMb }) => idleMb)];
    return [variant, ...memory, own(({ knee }) => knee)];
  });
  return table(["PROXY", "MB FRESH", "MB WARM", "STREAMS WITH P99 < 20 MS"], rows);
}

function pair({ p50, p99 }: Quantiles): string {
  return Number.isNaN(p50) ? "" : `${p50.toFixed(2)} / ${p99.toFixed(2)}`;
}

function number(value: number, digits: number): string {
  return Number.isNaN(value) ? "" : value.toFixed(digits);
}

function count(value: number): string {
  return Math.round(value).toLocaleString("en");
}
