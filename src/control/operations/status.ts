// The fleet in words and plain data, for clients and operators. Reads, never changes.
import type { Catalog } from "../../catalog/catalog.ts";
import type { Recipe, RuntimeName } from "../../catalog/recipe.ts";
import { select } from "../../catalog/select.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Router } from "../balance/router.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { Estimates } from "../launcher/estimates.ts";
import type { Fleet } from "../fleet.ts";
import { measureGpu, overviewOf, type GpuOverview } from "./gpu-overview.ts";
import { standingOf, type ModelStanding } from "./model-status.ts";
import { offersOf } from "../planner/ledger.ts";
import { toPullReport, type PullReport } from "./pull-report.ts";
import type { Prospects } from "../prospects.ts";
import type { Replica } from "../replica.ts";

export interface ModelStatus extends ModelStanding {
  readonly model: string;
  readonly aliases: readonly string[];
  readonly recipes: readonly string[];
  readonly replicas: number;
  readonly inFlight: number;
  readonly waiting: number;
}

export interface ReplicaStatus {
  readonly name: string;
  readonly model: string;
  readonly recipe: string;
  readonly profile: string;
  readonly runtime: string;
  readonly state: string;
  readonly reason: string;
  readonly gpus: readonly string[];
  readonly inFlight: number;
  readonly startedAt: string;
  readonly readyAt?: string;
  readonly sleepsAt?: string;
  readonly idleUntil?: string;
  readonly keepAliveSeconds?: number;
  readonly pinned?: true;
  readonly gpuShare?: number;
  readonly sleepLevel?: 1 | 2;
  readonly backend?: string;
  readonly address?: string;
  /** While it starts, where earlier starts tell. */
  readonly etaSeconds?: number;
  readonly flags?: readonly string[];
  /** While it pulls. */
  readonly pull?: Extract<PullReport, { kind: "progress" }>;
}

export interface RecipeStatus {
  readonly id: string;
  readonly model: string;
  readonly aliases: readonly string[];
  readonly engine: string;
  readonly runtime: string;
  readonly precision?: string;
  readonly hardware: readonly string[];
  readonly profiles: readonly { readonly id: string; readonly gpus: number; readonly default: boolean }[];
  readonly file: string;
  /** What was changed to make a file of another format run. */
  readonly notes?: readonly string[];
}

export class Status {
  readonly #fleet: Fleet;
  readonly #router: Pick<Router, "routed">;
  readonly #catalog: Catalog;
  readonly #clock: Clock;
  readonly #estimates: Estimates;
  readonly #prospects: Prospects;
  readonly #defaultRuntime: RuntimeName;

  constructor(deps: {
    readonly fleet: Fleet;
    readonly router: Pick<Router, "routed">;
    readonly catalog: Catalog;
    readonly clock: Clock;
    readonly estimates: Estimates;
    readonly prospects: Prospects;
    readonly defaultRuntime: RuntimeName;
  }) {
    this.#fleet = deps.fleet;
    this.#router = deps.router;
    this.#catalog = deps.catalog;
    this.#clock = deps.clock;
    this.#estimates = deps.estimates;
    this.#prospects = deps.prospects;
    this.#defaultRuntime = deps.defaultRuntime;
  }

  models(): readonly ModelStatus[] {
    const snapshot = this.#fleet.snapshot();
    const offers = offersOf(snapshot);
    const deps = { fleet: this.#fleet, prospects: this.#prospects };
    return this.#catalog.models().map(({ model, aliases }) => {
      const replicas = this.#fleet.replicas.ofModel(model);
      const recipes = this.#catalog.recipesFor(model);
      const selection = select(recipes, { model }, offers, snapshot.defaultRuntime);
      return {
        model,
        aliases,
        ...standingOf({ model, recipes, replicas, selection }, snapshot, deps),
        recipes: recipes.map((recipe) => recipe.id),
        replicas: replicas.length,
        inFlight: replicas.reduce((sum, replica) => sum + replica.inFlight, 0),
        waiting: this.#fleet.demand.waiting(model),
      };
    });
  }

  recipes(): { readonly recipes: readonly RecipeStatus[]; readonly problems: Catalog["problems"] } {
    return { recipes: this.#catalog.recipes.map((one) => this.recipe(one)), problems: this.#catalog.problems };
  }

  recipe(recipe: Recipe): RecipeStatus {
    const { id, model, aliases, engine, runtime, precision, hardware, profiles, file, notes } = recipe;
    return {
      id,
      model,
      aliases,
      engine,
      runtime: runtime ?? this.#defaultRuntime,
      ...(precision === undefined ? {} : { precision }),
      hardware,
      profiles: profiles.map((profile) => ({ id: profile.id, gpus: profile.gpus, default: profile.isDefault })),
      file,
      ...(notes === undefined ? {} : { notes }),
    };
  }

  replicas(): readonly ReplicaStatus[] {
    return this.#fleet.replicas.all().map((replica) => this.replica(replica));
  }

  replica(replica: Replica): ReplicaStatus {
    const { name, model, state, reason, inFlight, ref, address, readyAtWall, recipe } = replica;
    const { recipeId, profileId, runtime, gpus, flags, gpuFraction } = replica.identity;
    const isAsleep = state === "dozing" || state === "sleeping" || state === "waking";
    const etaMs = this.#estimates.etaMs(replica);
    const pull = state === "pulling" ? replica.progress.pull : undefined;
    return {
      name,
      model,
      recipe: recipeId,
      profile: profileId,
      runtime,
      state,
      reason,
      gpus,
      inFlight,
      startedAt: iso(replica.startedAtWall),
      ...(readyAtWall === undefined ? {} : { readyAt: iso(readyAtWall) }),
      ...this.#idleTimes(replica),
      ...(replica.pinned ? { pinned: true } : {}),
      ...(gpuFraction === undefined ? {} : { gpuShare: gpuFraction }),
      ...(isAsleep && recipe?.sleep !== undefined ? { sleepLevel: recipe.sleep.level } : {}),
      ...(ref === undefined ? {} : { backend: ref.id }),
      ...(address === undefined ? {} : { address: address.href }),
      ...(etaMs === undefined ? {} : { etaSeconds: Math.ceil(etaMs / 1000) }),
      ...(flags === undefined ? {} : { flags }),
      ...(pull === undefined ? {} : { pull: toPullReport(replica.image ?? "", pull) }),
    };
  }

  gpus(): readonly GpuOverview[] {
    return this.#fleet.machines.gpus().map(overviewOf);
  }

  runtimes(): readonly { readonly name: string; readonly available: boolean; readonly reason?: string }[] {
    return [...this.#fleet.machines.runtimes].map(([name, { unavailable }]) => ({
      name,
      available: unavailable === undefined,
      ...(unavailable === undefined ? {} : { reason: unavailable }),
    }));
  }

  /** Why no request can be served at all; empty when some can. */
  problems(): readonly string[] {
    const models = this.models();
    if (models.length === 0) return ["no recipe could be used"];
    if (
      [...this.#fleet.machines.runtimes.values()].some((runtime) => !runtime.known && runtime.unavailable === undefined)
    ) {
      return ["still looking for replicas that already run"];
    }
    if (models.some((model) => model.status !== "unavailable")) return [];
    return [...new Set(models.flatMap((model) => model.publicReason ?? []))];
  }

  /** Sets what is only looked at when somebody asks for metrics. */
  measure(metrics: Metrics): void {
    const { replicas, inFlight, waiting, held, scaleTarget, gpus, gpuMemory, gpuQuarantined } = metrics;
    for (const gauge of [replicas, inFlight, waiting, held, scaleTarget, gpus, gpuMemory, gpuQuarantined])
      gauge.reset();
    for (const replica of this.#fleet.replicas.all()) {
      metrics.replicas.inc({ model: replica.model, state: replica.state });
      metrics.inFlight.inc({ model: replica.model }, replica.inFlight);
    }
    for (const { model } of this.#catalog.models()) this.#measureDemand(model, metrics);
    for (const [model, target] of this.#fleet.snapshot().scale) scaleTarget.set({ model }, target.replicas);
    for (const gpu of this.#fleet.machines.gpus()) measureGpu(gpu, metrics);
    this.#measureRouting(metrics);
  }

  /** Counted by the router, which has no time for metrics. */
  #measureRouting({ routedTokens, routedCachedTokens }: Metrics): void {
    for (const counter of [routedTokens, routedCachedTokens]) counter.reset();
    for (const { model, tokens, cachedTokens } of this.#router.routed()) {
      routedTokens.inc({ model }, tokens);
      routedCachedTokens.inc({ model }, cachedTokens);
    }
  }

  #measureDemand(model: string, { waiting, held }: Metrics): void {
    const count = this.#fleet.demand.waiting(model);
    waiting.set({ model }, count);
    const hold = this.#fleet.demand.holdOf(model);
    if (hold !== undefined && count > 0) held.set({ model, why: hold.why }, count);
  }

  /** Its recipe keeps so many running that it is one of them. */
  #isOfMinimum({ model, recipe }: Replica): boolean {
    const { min } = recipe?.replicas ?? { min: 0 };
    const alike = this.#fleet.replicas.ofModel(model).filter((other) => other.recipe === recipe);
    return alike.filter((other) => other.state === "ready" || other.isStarting).length <= min && min > 0;
  }

  /** What becomes of it while nobody uses it; nothing of that is told of one that is used. */
  #idleTimes(replica: Replica): Pick<ReplicaStatus, "sleepsAt" | "idleUntil" | "keepAliveSeconds"> {
    const { state, recipe, idleSince, pinned } = replica;
    const keepAliveMs = this.#fleet.keepAliveMs(replica);
    const kept = keepAliveMs === Infinity ? {} : { keepAliveSeconds: keepAliveMs / 1000 };
    const isResting = state === "dozing" || state === "sleeping";
    if ((state !== "ready" && !isResting) || replica.inFlight > 0) return kept;
    if (pinned || this.#isOfMinimum(replica)) return { ...kept, idleUntil: "forever" };
    const at = (ms: number) => iso(this.#clock.wallNow() + ms - this.#clock.now());
    const sleepMs = isResting ? undefined : recipe?.sleep?.afterMs;
    // Who is due and still awake cannot sleep: there is too little of the host's memory, or it has failed to.
    const isDue = sleepMs !== undefined && idleSince + sleepMs <= this.#clock.now();
    return {
      ...kept,
      ...(sleepMs === undefined || isDue || sleepMs >= keepAliveMs ? {} : { sleepsAt: at(idleSince + sleepMs) }),
      idleUntil: keepAliveMs === Infinity ? "forever" : at(idleSince + keepAliveMs),
    };
  }
}

function iso(wallMs: number): string {
  return new Date(wallMs).toISOString();
}
