// A moment and what is decided in it, and the words that the laws about it are made of.
import type { Plan } from "../../../src/control/planner/actions.ts";
import { isStarting } from "../../../src/control/replica.ts";
import { isLive, type FleetSnapshot, type ReplicaSnapshot } from "../../../src/control/snapshot.ts";

export interface Scene {
  readonly snapshot: FleetSnapshot;
  readonly plan: Plan;
  readonly now: number;
}

export function isUsed({ inFlight, waiting }: ReplicaSnapshot): boolean {
  return inFlight > 0 || waiting > 0;
}

/** Before anybody goes: whether it is sent away for nothing but a changed recipe. */
export function isKept(replica: ReplicaSnapshot, { snapshot }: Pick<Scene, "snapshot">): boolean {
  if (replica.stuck) return true;
  if (replica.stale) return false;
  if (replica.pinned) return true;
  const min = snapshot.recipes.find(({ id }) => id === replica.recipeId)?.replicas.min ?? 0;
  const live = snapshot.replicas.filter((one) => one.recipeId === replica.recipeId && isLive(one) && !one.stale);
  return isLive(replica) && live.length <= min;
}

/** Loads, or is being woken: it measures what is free of its GPUs. */
export function isMeasuring({ state }: Pick<ReplicaSnapshot, "state">): boolean {
  return isStarting(state) || state === "waking";
}

/** Gives back what it has before long. */
export function isGoing({ state, stuck }: Pick<ReplicaSnapshot, "state" | "stuck">): boolean {
  return !stuck && (state === "stopping" || state === "failed" || state === "dozing");
}
