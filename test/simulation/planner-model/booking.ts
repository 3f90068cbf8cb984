// Who may be on one GPU together, said once more and otherwise than the planner says it: the awake share it, one that wants all of
// it is alone among them, and what sleepers keep is not given out.
import type { ReplicaSnapshot } from "../../../src/control/snapshot.ts";

/** Shares are sums of decimals. */
const SLACK = 1e-9;

type Holder = Pick<ReplicaSnapshot, "state" | "share" | "residualShare">;

/** Somebody who is, or is to be, on a GPU; `memory`: what he takes of it where he has all of it. */
export interface Newcomer extends Holder {
  readonly memory: number;
}

/** Whether there is room for one more beside those on it. Who sleeps needs none but what it keeps. */
export function isRoomFor(newcomer: Newcomer, others: readonly Holder[]): boolean {
  const awake = sum(others.filter(({ state }) => state !== "sleeping").map(({ share }) => share));
  const kept = sum(others.filter(({ state }) => state === "sleeping").map(({ residualShare }) => residualShare));
  if (newcomer.state === "sleeping") return kept + newcomer.residualShare <= 1 + SLACK;
  if (newcomer.share < 1) return awake + kept + newcomer.share <= 1 + SLACK;
  return awake === 0 && (kept === 0 || kept + newcomer.memory <= 1 + SLACK);
}

function sum(shares: readonly number[]): number {
  return shares.reduce((total, share) => total + share, 0);
}
