// One cell of the report: a workload at a load on some replicas, under every policy.
import type { Policy } from "./policies.ts";
import { run, type Outcome } from "./run.ts";
import { SPEED } from "./speed.ts";
import { atLoad, type Workload } from "./workload.ts";

/** Where a workload comes from. */
export interface Source {
  readonly name: string;
  /** One for each seed; a trace that was recorded is one. */
  readonly workloads: readonly Workload[];
}

export interface Place {
  readonly load: number;
  readonly replicas: number;
  /** Of the KV cache of each replica. */
  readonly blocks: number;
  /** What the gateway takes the size of that cache for, over what it is. */
  readonly assumed: number;
}

export interface CellResult extends Place, Outcome {
  readonly workload: string;
  readonly policy: string;
}

/** Medians over the seeds, each figure by itself. */
export function runCell(source: Source, place: Place, policy: Policy): CellResult {
  const { load, replicas, blocks, assumed } = place;
  const speed = { ...SPEED, blocks };
  const outcomes = source.workloads.map((workload, seed) =>
    run(atLoad(workload, load, replicas, speed), policy, { replicas, speed, seed, assumed }),
  );
  const of = (figure: (outcome: Outcome) => number) => median(outcomes.map(figure));
  return {
    workload: source.name,
    ...place,
    policy: policy.name,
    ttft: { mean: of(({ ttft }) => ttft.mean), p50: of(({ ttft }) => ttft.p50), p99: of(({ ttft }) => ttft.p99) },
    endToEnd: of(({ endToEnd }) => endToEnd),
    hitRate: of(({ hitRate }) => hitRate),
    worstLoad: of(({ worstLoad }) => worstLoad),
  };
}

/** Of an even number of values the lower one in the middle. */
function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? NaN;
}
