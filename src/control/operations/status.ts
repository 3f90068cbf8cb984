// The fleet in words and plain data, for clients and operators. Reads, never changes.
import type { Catalog } from "../../catalog/catalog.ts";
import type { Recipe, RuntimeName } from "../../catalog/recipe.ts";
import { select, type Selection } from "../../catalog/select.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { Estimates } from "../launcher/estimates.ts";
import type { Fleet } from "../fleet.ts";
import { measureGpu, overviewOf, type GpuOverview } from "./gpu-overview.ts";
import { offersOf } from "../planner/ledger.ts";
import { toPullReport, type PullReport } from "./pull-report.ts";
import type { Replica } from "../replica.ts";
import { runtimeOf, type FleetSnapshot } from "../snapshot.ts";

export type ModelState = "cold" | "starting" | "ready" | "failed" | "unavailable";

export interface ModelStatus {
  readonly model: string;
  readonly aliases: readonly string[];
  readonly status: ModelState;
  /** For operators: may name paths and machines. */
  readonly reason?: string;
  /** For API clients. */
  readonly publicReason?: string;
  /** What the engine said last, when its last start failed; for operators. */
  readonly lastLines?: readonly string[];
  readonly recipes: readonly string[];
  readonly replicas: number;
  readonly inFlight: number;
  readonly waiting: number;
}

type StateOfModel = Pick<ModelStatus, "status" | "reason" | "publicReason" | "lastLines">;

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
  readonly idleUntil?: string;
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
  readonly #catalog: Catalog;
  readonly #clock: Clock;
  readonly #estimates: Estimates;
  readonly #defaultRuntime: RuntimeName;

  constructor(deps: {
    readonly fleet: Fleet;
    readonly catalog: Catalog;
    readonly clock: Clock;
    readonly estimates: Estimates;
    readonly defaultRuntime: RuntimeName;
  }) {
    this.#fleet = deps.fleet;
    this.#catalog = deps.catalog;
    this.#clock = deps.clock;
    this.#estimates = deps.estimates;
    this.#defaultRuntime = deps.defaultRuntime;
  }

  models(): readonly ModelStatus[] {
    const snapshot = this.#fleet.snapshot();
    const offers = offersOf(snapshot);
    return this.#catalog.models().map(({ model, aliases }) => {
      const replicas = this.#fleet.replicas.ofModel(model);
      const recipes = this.#catalog.recipesFor(model);
      const selection = select(recipes, { model }, offers, snapshot.defaultRuntime);
      return {
        model,
        aliases,
        ...(this.#presentState(replicas) ?? this.#absentState(recipes, selection, snapshot)),
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
    const { name, model, state, reason, inFlight, ref, address, readyAtWall } = replica;
    const { recipeId, profileId, runtime, gpus, flags } = replica.identity;
    const etaMs = this.#estimates.etaMs(replica);
    const pull = state === "pulling" ? replica.progress.pull : undefined;
    const idleUntil = this.#idleUntil(replica);
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
      ...(idleUntil === undefined ? {} : { idleUntil }),
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

  /** Sets the gauges, which are only looked at when somebody asks for metrics. */
  measure(metrics: Metrics): void {
    const { replicas, inFlight, waiting, gpus, gpuMemory, gpuQuarantined } = metrics;
    for (const gauge of [replicas, inFlight, waiting, gpus, gpuMemory, gpuQuarantined]) gauge.reset();
    for (const replica of this.#fleet.replicas.all()) {
      metrics.replicas.inc({ model: replica.model, state: replica.state });
      metrics.inFlight.inc({ model: replica.model }, replica.inFlight);
    }
    for (const { model } of this.#catalog.models()) metrics.waiting.set({ model }, this.#fleet.demand.waiting(model));
    for (const gpu of this.#fleet.machines.gpus()) measureGpu(gpu, metrics);
  }

  #presentState(replicas: readonly Replica[]): StateOfModel | undefined {
    if (replicas.some((replica) => replica.isServing)) return { status: "ready" };
    const starting = replicas.find((replica) => replica.isStarting);
    if (starting === undefined) return undefined;
    return { status: "starting", reason: starting.reason, publicReason: starting.reason };
  }

  #absentState(recipes: readonly Recipe[], selection: Selection, snapshot: FleetSnapshot): StateOfModel {
    const failure = recipes.flatMap((recipe) => this.#fleet.lastFailure(recipe.id) ?? [])[0];
    if (failure !== undefined) {
      const { message, advice, lastLines } = failure;
      return { status: "failed", reason: `${message}: ${advice}`, publicReason: message, lastLines };
    }
    if (selection.kind === "selected") return { status: "cold" };
    // Why a runtime is away names sockets and paths, which are nobody's business but the operator's.
    const isAway = recipes.some((recipe) => runtimeOf(snapshot, recipe)?.unavailable !== undefined);
    const publicReason = isAway ? "its runtime is not available" : selection.why;
    return { status: "unavailable", reason: selection.why, publicReason };
  }

  #idleUntil(replica: Replica): string | undefined {
    if (replica.state !== "ready" || replica.inFlight > 0) return undefined;
    const keepAliveMs = this.#fleet.keepAliveMs(replica);
    if (keepAliveMs === Infinity) return "forever";
    return iso(this.#clock.wallNow() + replica.idleSince + keepAliveMs - this.#clock.now());
  }
}

function iso(wallMs: number): string {
  return new Date(wallMs).toISOString();
}
