// The results as people read them, and what was promised beside what came out.
import { table } from "../../src/cli/table.ts";
import type { CellResult, Place } from "./cells.ts";
import { LEAST_IN_FLIGHT, ORACLE, OURS, ROUND_ROBIN } from "./policies.ts";

export const LEGEND =
  "Seconds until the first token; share of the prompts' tokens that were cached; what the busiest replica computed over the mean; seconds until the last token.";

const HEADS = ["POLICY", "MEAN", "P50", "P99", "OF LEAST IN FLIGHT", "OF ORACLE", "CACHED", "BUSIEST", "END TO END"];

/** The policies in one cell. */
export function tableOf(cell: readonly CellResult[]): string {
  const rows = cell.map(({ policy, ttft, hitRate, worstLoad, endToEnd }) => [
    policy,
    ...[ttft.mean, ttft.p50, ttft.p99].map((seconds) => seconds.toFixed(3)),
    ...[LEAST_IN_FLIGHT.name, ORACLE.name].map((other) => percent(ttft.mean / meanOf(cell, other))),
    percent(hitRate),
    worstLoad.toFixed(2),
    endToEnd.toFixed(1),
  ]);
  return table(HEADS, rows);
}

/**
 * Where the promises about conversations hold: at 1.5 times the speed of the public trace. That is a load of 77 % by its prompts
 * alone, and of 83 % with its answers.
 */
export const ANCHOR = { workload: "conversation", load: 0.83, replicas: 8, blocks: 2000, assumed: 1 };

/** What the default promises. */
interface Promised {
  readonly what: string;
  /** The policy that the default is held against. */
  readonly against: string;
  /** Of its mean time to the first token. */
  readonly most: number;
  /** The cells that it is promised for. */
  readonly covers: (cell: CellResult) => boolean;
}

const isAnchor = (cell: CellResult) =>
  cell.workload.includes(ANCHOR.workload) && titleOf(cell) === titleOf({ ...ANCHOR, workload: cell.workload });

export const PROMISED: readonly Promised[] = [
  {
    what: "conversations at 1.5 times their speed, of round robin",
    against: ROUND_ROBIN.name,
    most: 0.4,
    covers: isAnchor,
  },
  {
    what: "conversations at 1.5 times their speed, of least in flight",
    against: LEAST_IN_FLIGHT.name,
    most: 0.5,
    covers: isAnchor,
  },
  { what: "anything, of the oracle", against: ORACLE.name, most: 1.1, covers: ({ assumed }) => assumed === 1 },
  {
    what: "random prompts, of least in flight",
    against: LEAST_IN_FLIGHT.name,
    most: 1.02,
    covers: ({ workload }) => workload === "random",
  },
];

/** The worst cell of each promise, of those that were run. */
export function verdicts(results: readonly CellResult[]): string {
  const rows = PROMISED.map(({ what, against, most, covers }) => {
    const ours = results.filter((result) => result.policy === OURS.name && covers(result));
    const ratios = ours.flatMap((result) => {
      const other = meanOf(sameCell(results, result), against);
      return Number.isNaN(other) ? [] : [{ ratio: result.ttft.mean / other, result }];
    });
    const worst = ratios.toSorted((a, b) => b.ratio - a.ratio)[0];
    if (worst === undefined) return [what, percent(most), "not run"];
    return [what, percent(most), percent(worst.ratio), worst.ratio <= most ? "kept" : "BROKEN", titleOf(worst.result)];
  });
  return table(["MEAN TTFT OF THE DEFAULT", "AT MOST", "WORST", "", "IN"], rows);
}

export function titleOf({ workload, load, replicas, blocks, assumed }: Place & { readonly workload: string }): string {
  const taken = assumed === 1 ? "" : `, taken for ${percent(assumed)} of that`;
  return `${workload} at ${percent(load)} on ${replicas} replicas of ${blocks} blocks${taken}`;
}

function sameCell(results: readonly CellResult[], of: CellResult): readonly CellResult[] {
  return results.filter((result) => titleOf(result) === titleOf(of));
}

/** NaN where it was not run. */
function meanOf(cell: readonly CellResult[], policy: string): number {
  return cell.find((result) => result.policy === policy)?.ttft.mean ?? NaN;
}

function percent(share: number): string {
  return Number.isNaN(share) ? "" : `${(100 * share).toFixed(share < 1 ? 1 : 0)} %`;
}
