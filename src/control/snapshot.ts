// What the planner sees: plain data, taken by the fleet in one go.
import type { Recipe, RuntimeName } from "../catalog/recipe.ts";
import type { SelectRequest } from "../catalog/select.ts";
import type { Gpu } from "../runtime/driver.ts";
import type { StartFailure } from "./fleet/failures.ts";
import type { GpuBlock } from "./fleet/gpus.ts";
import { isStarting, type Replica, type ReplicaState } from "./replica.ts";
import type { Wish } from "./fleet/wish.ts";

export interface FleetSnapshot {
  readonly replicas: readonly ReplicaSnapshot[];
  /** Oldest first. */
  readonly demands: readonly Demand[];
  readonly runtimes: ReadonlyMap<RuntimeName, RuntimeSnapshot>;
  readonly defaultRuntime: RuntimeName;
  readonly recipes: readonly Recipe[];
  /** By recipe id; only those still backing off. */
  readonly failures: ReadonlyMap<string, StartFailure>;
  /** By `gpuKey`: GPUs that nobody of ours holds and that can still not be given out. */
  readonly blocks: ReadonlyMap<string, GpuBlock>;
}

export interface ReplicaSnapshot {
  readonly name: string;
  readonly model: string;
  readonly recipeId: string;
  readonly profileId: string;
  readonly runtime: RuntimeName;
  readonly state: ReplicaState;
  readonly responsive: boolean;
  readonly gpus: readonly string[];
  readonly inFlight: number;
  /** Requests waiting for its model. */
  readonly waiting: number;
  readonly idleSince: number;
  /** Since when it serves; meaningless before. */
  readonly readyAt: number;
  /** Infinity: never unloaded for being idle. */
  readonly keepAliveMs: number;
  /** Engine flags that its launch added. */
  readonly flags: readonly string[];
  /** Its recipe is gone from the catalogue, or has changed since it started. */
  readonly stale: boolean;
  /** It cannot be taken down: its GPUs do not come back. */
  readonly stuck: boolean;
}

/** Somebody wants a replica: the waiters of one model together, or one launch order. */
export interface Demand {
  readonly id: string;
  readonly kind: "requests" | "order";
  readonly request: SelectRequest;
  readonly since: number;
  /** Requests behind it; 1 for an order. */
  readonly waiting: number;
  /** What an operator asks for beyond the model. */
  readonly wish?: Wish;
}

export interface RuntimeSnapshot {
  /** False until its replicas were listed once: before that nothing may be started there. */
  readonly known: boolean;
  readonly unavailable?: string;
  readonly placement: "gateway" | "runtime";
  readonly gpus: readonly Gpu[];
}

/** The runtime that a recipe's replicas run on, as it is now; undefined when it is not set up here. */
export function runtimeOf(
  { runtimes, defaultRuntime }: Pick<FleetSnapshot, "runtimes" | "defaultRuntime">,
  recipe: Recipe,
): RuntimeSnapshot | undefined {
  return runtimes.get(recipe.runtime ?? defaultRuntime);
}

/** What a replica tells about itself. */
export function snapshotOf(replica: Replica): Omit<ReplicaSnapshot, "waiting" | "keepAliveMs"> {
  return {
    ...replica.identity,
    flags: replica.identity.flags ?? [],
    state: replica.state,
    responsive: replica.responsive,
    inFlight: replica.inFlight,
    idleSince: replica.idleSince,
    readyAt: replica.readyAt ?? 0,
    stuck: replica.isStuck,
    stale: replica.recipe === undefined || replica.recipe.hash !== replica.identity.recipeHash,
  };
}

/** What the fleet needs of the catalogue. */
export interface RecipeBook {
  readonly recipes: readonly Recipe[];
  recipe(id: string): Recipe | undefined;
}

/** Serves, or will. */
export function isLive({ state, responsive }: ReplicaSnapshot): boolean {
  return isStarting(state) || (state === "ready" && responsive);
}
