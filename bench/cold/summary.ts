// Medians and 95th percentiles of many cold starts, as a table.
import { table } from "../../src/cli/table.ts";
import { BARS, ours, PHASES, span, type Stamps } from "./phases.ts";

interface Row {
  readonly name: string;
  readonly whose: string;
  readonly p50: number;
  readonly p95: number;
  readonly limitMs?: number;
}

export interface Summary {
  readonly setup: string;
  readonly runs: number;
  readonly phases: readonly Row[];
  readonly sums: readonly Row[];
}

export function summarise(setup: string, runs: readonly Stamps[]): Summary {
  const over = (measure: (stamps: Stamps) => number) => quantiles(runs.map(measure));
  return {
    setup,
    runs: runs.length,
    phases: PHASES.map((phase) => ({
      name: phase.name,
      whose: phase.whose,
      ...over((stamps) => span(stamps, phase)),
    })),
    sums: [
      ...BARS.map((bar) => ({
        name: bar.name,
        whose: "",
        ...over((stamps) => span(stamps, bar)),
        limitMs: bar.limitMs,
      })),
      { name: "all that is ours", whose: "ours", ...over(ours) },
      { name: "all", whose: "", ...over((stamps) => span(stamps, { from: "asked", to: "firstByte" })) },
    ],
  };
}

export function tableOf(summaries: readonly Summary[]): string {
  const rows = summaries.flatMap(({ setup, phases, sums }) =>
    [...phases, ...sums].map(({ name, whose, p50, p95, limitMs }) => [
      setup,
      name,
      whose,
      p50.toFixed(0),
      p95.toFixed(0),
      limitMs === undefined ? "" : `< ${limitMs}`,
    ]),
  );
  return table(["SETUP", "PHASE", "WHOSE", "P50 MS", "P95 MS", "BAR"], rows);
}

function quantiles(values: readonly number[]): Pick<Row, "p50" | "p95"> {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1] ?? NaN;
  return { p50: at(0.5), p95: at(0.95) };
}
