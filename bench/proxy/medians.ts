// The middle of what the repetitions of a run have shown. Not a number where nothing was.
import type { Figures, Quantiles } from "./measure.ts";
import type { Results } from "./run.ts";
import type { Trial } from "./trial.ts";

/** Of one proxy. */
export function ofTrials({ trials }: Results, variant: string, of: (trial: Trial) => number | undefined): number {
  const own = trials.filter((trial) => trial.variant === variant).map((trial) => of(trial) ?? NaN);
  return median(own.filter((value) => !Number.isNaN(value)));
}

/** Of one proxy under one workload. */
export function ofFigures(results: Results, at: Place, of: (figures: Figures) => number | undefined): number {
  return ofTrials(results, at.variant, ({ figures }) => {
    const own = figures[at.workload];
    return own === undefined ? undefined : of(own);
  });
}

/** What one proxy has cost or taken, over another. */
export function ratioTo(other: string, results: Results, at: Place, of: (figures: Figures) => number): number {
  return ofFigures(results, at, of) / ofFigures(results, { ...at, variant: other }, of);
}

/** Milliseconds. */
export function quantilesOf(results: Results, at: Place, of: Times): Quantiles {
  const middle = (quantile: keyof Quantiles) => ofFigures(results, at, (figures) => of(figures)?.[quantile]) / 1000;
  return { p50: middle("p50"), p99: middle("p99") };
}

/** Milliseconds over those of no proxy at all. */
export function addedTo(results: Results, at: Place, of: Times): Quantiles {
  const [own, direct] = [quantilesOf(results, at, of), quantilesOf(results, { ...at, variant: "direct" }, of)];
  return { p50: own.p50 - direct.p50, p99: own.p99 - direct.p99 };
}

/** MB beyond what it had when it was warm. */
export function overIdle(results: Results, at: Place): number {
  return ofFigures(results, at, ({ residentMb }) => residentMb) - ofTrials(results, at.variant, ({ idleMb }) => idleMb);
}

export interface Place {
  readonly variant: string;
  readonly workload: string;
}

export type Times = (figures: Figures) => Quantiles | undefined;

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [upper = NaN, lower = NaN] = [sorted[middle], sorted[middle - 1]];
  return sorted.length % 2 === 1 ? upper : (lower + upper) / 2;
}
