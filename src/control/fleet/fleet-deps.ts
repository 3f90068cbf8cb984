// What the fleet is given, and whom it tells.
import type { RuntimeName } from "../../catalog/recipe.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Router } from "../balance/router.ts";
import type { Journal } from "../journal.ts";
import type { RecipeBook, ScaleTarget, SchedulingPolicy } from "../snapshot.ts";
import type { Replica } from "../replica.ts";
import type { Lender } from "./lending.ts";
import type { WaiterLimits } from "./waiters.ts";

export interface FleetDeps {
  readonly clock: Clock;
  readonly recipes: RecipeBook;
  readonly journal: Journal;
  readonly settings: FleetSettings;
  readonly router: Router;
  /** How long a replica's load usually takes; undefined when that is not known. */
  usualLoadMs(replica: Replica): number | undefined;
  /** When it is worth asking again for a model that too many wait for. */
  retryAfterMs(model: string): number;
  /** Who gives out slots of replicas beside the fleet; absent: nobody. */
  readonly lender?: Lender | undefined;
  /** How many replicas models should have by what there is to do. */
  scale(): ReadonlyMap<string, ScaleTarget>;
}

export interface FleetSettings {
  readonly keepAliveMs: number;
  readonly defaultRuntime: RuntimeName;
  readonly waiters: WaiterLimits;
  readonly scheduling: SchedulingPolicy;
  /** Longest idle time before unload that a request may ask for. */
  readonly keepAliveMaxMs: number;
  /** How long a GPU's memory may take to come back before the GPU is quarantined. */
  readonly recoveryMs: number;
}

export interface FleetHooks {
  /** Something changed that a plan may depend on. Called often; coalesce. */
  onChange(): void;
  /** A replica became free of requests: it may be due for unloading at that time. On the hot path: must be cheap. */
  onIdle(dueAt: number): void;
  /** A replica could not be reached, or gave back GPUs: look at its runtime now. */
  onSuspect(runtime: RuntimeName): void;
}
