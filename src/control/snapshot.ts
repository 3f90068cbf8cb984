// What the planner sees: plain data, taken by the fleet in one go.
import type { Recipe, RuntimeName } from "../catalog/recipe.ts";
import type { SelectRequest } from "../catalog/select.ts";
import type { Gpu } from "../runtime/driver.ts";
import type { StartFailure } from "./fleet/failures.ts";
import type { GpuBlock } from "./fleet/gpus.ts";
import { isStarting, type Replica, type ReplicaState } from "./replica.ts";
import type { Wish } from "./fleet/wish.ts";
import type { StartReason } from "./planner/why.ts";

export interface FleetSnapshot {
  readonly replicas: readonly ReplicaSnapshot[];
  /** By rank, the lowest first. */
  readonly demands: readonly Demand[];
  readonly runtimes: ReadonlyMap<RuntimeName, RuntimeSnapshot>;
  readonly defaultRuntime: RuntimeName;
  readonly recipes: readonly Recipe[];
  /** By recipe id; only those still backing off. */
  readonly failures: ReadonlyMap<string, StartFailure>;
  /** By `gpuKey`: GPUs of which those of ours who hold them leave something, and that can still not be given out. */
  readonly blocks: ReadonlyMap<string, GpuBlock>;
  /** By model; only those that ought to have more or fewer replicas than their demand alone would start. */
  readonly scale: ReadonlyMap<string, ScaleTarget>;
  readonly policy: SchedulingPolicy;
}

/** How the GPUs are shared out between models. */
export interface SchedulingPolicy {
  /** Least time for which a model that is in use keeps its GPUs; shorter where its load is short. */
  readonly minResidencyMs: number;
  /** How long requests wait before the model that holds the GPUs has to give way. */
  readonly maxWaitMs: number;
  /** Most replicas that load at a time. */
  readonly maxStarts: number;
  /** Whether a load that nobody waits for any more is given up when its GPUs are needed. */
  readonly abortsUnwanted: boolean;
  /** Bytes of the host's memory that sleeping replicas may take together. */
  readonly sleepMemoryBytes: number;
}

/** How many replicas a model should have by what there is to do. */
export interface ScaleTarget {
  readonly replicas: number;
  /** For people: "12 requests per replica over the last 30s, where 8 are meant". */
  readonly reason: string;
}

export interface ReplicaSnapshot {
  readonly name: string;
  readonly model: string;
  readonly recipeId: string;
  readonly profileId: string;
  readonly runtime: RuntimeName;
  readonly state: ReplicaState;
  readonly responsive: boolean;
  /** Why others get its requests where there are any; absent where it is as good as they. */
  readonly leftOut?: string;
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
  readonly pinned: boolean;
  /** An operator launched it. */
  readonly launched: boolean;
  /** When it came to its present state. */
  readonly stateSince: number;
  /** What it would cost to have it back: the time of its load. */
  readonly loadMs: number;
  /** How often its model is asked for lately: requests a minute. */
  readonly heat: number;
  /** Share of each of its GPUs that it has while it is awake; 1: the whole of them, alone. */
  readonly share: number;
  /** Share of the memory of each of its GPUs that it keeps while it sleeps. */
  readonly residualShare: number;
  /** What it does before it is unloaded for being idle. */
  readonly sleep?: SleepPlan;
}

export interface SleepPlan {
  readonly afterMs: number;
  readonly level: 1 | 2;
  /** Bytes of the host's memory that it takes, or would take, while it sleeps. */
  readonly hostBytes: number;
}

/**
 * Somebody wants a replica: the waiters of one model together; one launch order; or what ought to run without being asked for
 * (`wanted`: to be preloaded, or in place of one that died), which never makes others give way.
 */
export interface Demand {
  readonly id: string;
  readonly kind: "requests" | "order" | "wanted";
  readonly why: StartReason;
  readonly request: SelectRequest;
  readonly since: number;
  /** The lower, the sooner: `since`, moved by what its priority is worth. */
  readonly rank: number;
  /** Requests behind it; 1 for others. */
  readonly waiting: number;
  /** Whether somebody behind it has the right to start or wake a replica. */
  readonly mayStart: boolean;
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

const NO_FLAGS: readonly string[] = [];

/** A replica at this moment, with what only the fleet knows of it. Made for all of them with every plan: one literal is cheap. */
export function snapshotOf(
  replica: Replica,
  { waiting, keepAliveMs, loadMs, heat }: Pick<ReplicaSnapshot, "waiting" | "keepAliveMs" | "loadMs" | "heat">,
): Omit<ReplicaSnapshot, "sleep"> {
  const { name, model, recipeId, profileId, runtime, gpus, flags = NO_FLAGS } = replica.identity;
  return {
    name,
    model,
    recipeId,
    profileId,
    runtime,
    gpus,
    flags,
    state: replica.state,
    responsive: replica.responsive,
    ...(replica.ejection === undefined ? undefined : { leftOut: replica.reason }),
    inFlight: replica.inFlight,
    idleSince: replica.idleSince,
    readyAt: replica.readyAt ?? 0,
    stuck: replica.isStuck,
    pinned: replica.pinned,
    launched: replica.identity.launched ?? false,
    stateSince: replica.stateSince,
    share: replica.identity.gpuFraction ?? 1,
    residualShare: replica.residualShare ?? 0,
    stale: replica.isStale,
    waiting,
    keepAliveMs,
    loadMs,
    heat,
  };
}

/** What the fleet needs of the catalogue. */
export interface RecipeBook {
  readonly recipes: readonly Recipe[];
  recipe(id: string): Recipe | undefined;
}

/** Serves, or will without being asked. */
export function isLive({ state, responsive }: ReplicaSnapshot): boolean {
  return isStarting(state) || state === "waking" || (state === "ready" && responsive);
}
