// The tables of a run: medians over the repetitions, beside nginx's.
import { table } from "../../src/cli/table.ts";
import type { Figures, Quantiles } from "./measure.ts";
import type { Results, Trial } from "./run.ts";
import type { Workload } from "./workloads.ts";

/** Lines without a newline at the end. */
export function report(results: Results): string {
  const tables = results.workloads.map(
    (workload) => `${workload.name}: ${workload.about}\n${tableOf(workload, results)}`,
  );
  const readings = results.readings.length > 0 ? [readingsOf(results)] : [];
  const missing = Object.entries(results.missing).map(([name, why]) => `not compared: ${name}: ${why}`);
  const faults = results.faults.map((fault) => `FAILED: ${fault}`);
  return ["", ...tables, ...readings, summaryOf(results), ...missing, ...faults].join("\n\n");
}

function tableOf(workload: Workload, results: Results): string {
  const isStream = workload.stream !== undefined;
  const heads = isStream
    ? [
        "CHUNKS/S",
        "CPU US/CHUNK",
        "X NGINX",
        "TTFT P50",
        "P99",
        "ADDED P50",
        "P99",
        "DELAY P50",
        "P99",
        "ADDED P50",
        "P99",
      ]
    : ["REQUESTS/S", "CPU US/REQUEST", "X NGINX", "P50", "P99", "ADDED P50", "P99"];
  const rows = results.variants.map((name) => {
    const middle = (of: (figures: Figures) => number) => medianOf(results, name, workload, of);
    const cpu = (figures: Figures) => (isStream ? figures.cpuUs.perChunk : figures.cpuUs.perRequest);
    const times = (of: (figures: Figures) => Quantiles | undefined) => timesOf(results, { name, workload, of });
    return [
      name,
      count(middle(({ perSecond }) => (isStream ? perSecond.chunks : perSecond.requests))),
      name === "direct" ? "" : middle(cpu).toFixed(1),
      name === "direct" ? "" : ratio(middle(cpu), medianOf(results, "nginx", workload, cpu)),
      ...(isStream
        ? [...times((figures) => figures.firstEvent), ...times((figures) => figures.delay)]
        : times((figures) => figures.latency)),
      ...(["proxy", "mock", "load", "foreign"] as const).map((who) => percent(middle(({ share }) => share[who]))),
      memory(
        results,
        name,
        middle(({ residentMb }) => residentMb),
      ),
    ];
  });
  return table(["PROXY", ...heads, "PROXY CPU", "MOCK", "LOAD", "OTHERS", "MB OVER IDLE"], rows);
}

interface Asked {
  readonly name: string;
  readonly workload: Workload;
  readonly of: (figures: Figures) => Quantiles | undefined;
}

/** p50 and p99, and what they are over those of no proxy, in ms. */
function timesOf(results: Results, { name, workload, of }: Asked): string[] {
  const at = (who: string, quantile: keyof Quantiles) =>
    medianOf(results, who, workload, (figures) => (of(figures)?.[quantile] ?? NaN) / 1000);
  const plain = [at(name, "p50"), at(name, "p99")];
  const added = [at(name, "p50") - at("direct", "p50"), at(name, "p99") - at("direct", "p99")];
  return [...plain, ...(name === "direct" ? [NaN, NaN] : added)].map((ms) => (Number.isNaN(ms) ? "" : ms.toFixed(2)));
}

function readingsOf({ readings }: Results): string {
  const rows = readings.map(({ workload, readUs, copyUs }) => [
    workload,
    readUs.toFixed(1),
    copyUs.toFixed(1),
    ratio(readUs, copyUs),
  ]);
  return `our look at a prompt, by itself\n${table(["PROMPT", "US", "US OF A COPY", "RATIO"], rows)}`;
}

function summaryOf({ variants, trials }: Results): string {
  const rows = variants.map((name) => {
    const own = trials.filter(({ variant }) => variant === name);
    const knee = median(own.map((trial) => trial.knee ?? NaN));
    return [name, median(own.map(({ idleMb }) => idleMb)).toFixed(0), Number.isNaN(knee) ? "" : String(knee)];
  });
  return table(["PROXY", "IDLE MB", "STREAMS WITH P99 < 20 MS"], rows);
}

/** Not a number where there is no such trial. */
function medianOf(results: Results, name: string, workload: Workload, of: (figures: Figures) => number): number {
  const own = results.trials.filter(({ variant }) => variant === name);
  return median(own.flatMap((trial) => figuresIn(trial, workload)).map(of));
}

function figuresIn(trial: Trial, { name }: Workload): Figures[] {
  const figures = trial.figures[name];
  return figures === undefined ? [] : [figures];
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [upper = NaN, lower = NaN] = [sorted[middle], sorted[middle - 1]];
  return sorted.length % 2 === 1 ? upper : (lower + upper) / 2;
}

function memory({ trials }: Results, name: string, residentMb: number): string {
  const idle = median(trials.filter(({ variant }) => variant === name).map(({ idleMb }) => idleMb));
  return name === "direct" ? "" : (residentMb - idle).toFixed(0);
}

function ratio(value: number, other: number): string {
  return Number.isNaN(value / other) ? "" : (value / other).toFixed(2);
}

function count(value: number): string {
  return Math.round(value).toLocaleString("en");
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
