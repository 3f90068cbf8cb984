// What the simple policies need to know: who wants GPUs, which are free, which come back. One kind of GPU, one runtime.
import type { Profile, Recipe, RuntimeName } from "../../../src/catalog/recipe.ts";
import type { AimError } from "../../../src/errors.ts";
import type { Action, Plan } from "../../../src/control/planner/actions.ts";
import type { Hold, HoldReason } from "../../../src/control/planner/why.ts";
import { isLeaving } from "../../../src/control/replica.ts";
import { isLive, type Demand, type FleetSnapshot, type ReplicaSnapshot } from "../../../src/control/snapshot.ts";

/** Somebody who waits, and what has to be started. */
export interface Want {
  readonly demand: Demand;
  readonly recipe: Recipe;
  readonly profile: Profile;
  readonly gpus: number;
}

/** A plan in the making. */
export class Board {
  readonly #snapshot: FleetSnapshot;
  readonly #actions: Action[] = [];
  readonly #holds = new Map<string, Hold>();
  readonly #doomed = new Set<ReplicaSnapshot>();
  readonly #runtime: RuntimeName;
  #free: readonly string[];
  /** How many will be free without anything being done. */
  #coming: number;

  constructor(snapshot: FleetSnapshot) {
    this.#snapshot = snapshot;
    this.#runtime = snapshot.defaultRuntime;
    const held = new Set(snapshot.replicas.flatMap(({ gpus }) => gpus));
    const all = snapshot.runtimes.get(this.#runtime)?.gpus ?? [];
    this.#free = all.map(({ id }) => id).filter((id) => !held.has(id));
    this.#coming = sum(snapshot.replicas.filter(({ state }) => isLeaving(state)));
  }

  /** Those for whose model nothing serves or loads, by the time since when they wait; nobody while it is unknown what runs. */
  wants(): readonly Want[] {
    if (this.#snapshot.runtimes.get(this.#runtime)?.known !== true) return [];
    const live = new Set(this.#snapshot.replicas.filter(isLive).map(({ model }) => model));
    return this.#snapshot.demands
      .filter(({ request }) => !live.has(request.model))
      .toSorted((a, b) => a.since - b.since)
      .flatMap((demand) => this.#wantOf(demand));
  }

  /** Ready, and not to be stopped yet. */
  holders(): readonly ReplicaSnapshot[] {
    return this.#snapshot.replicas.filter((replica) => replica.state === "ready" && !this.#doomed.has(replica));
  }

  /** How many GPUs somebody has to give back for it. */
  missing({ gpus }: Want): number {
    return Math.max(0, gpus - this.#free.length - this.#coming);
  }

  /** Starts it where enough are free; otherwise keeps what is free and what comes back for it. */
  place(want: Want): void {
    const { demand, recipe, profile, gpus } = want;
    const mine = this.#free.slice(0, gpus);
    this.#free = this.#free.slice(gpus);
    if (mine.length < gpus) {
      this.#coming -= Math.min(this.#coming, gpus - mine.length);
      return this.hold(want, "coming");
    }
    this.#actions.push({
      kind: "start",
      recipe,
      profile,
      runtime: this.#runtime,
      gpus: mine,
      why: "requests",
      demand,
      reason: `${demand.waiting} waiting`,
      reasons: [],
    });
  }

  /** Stops them, once they have finished what they have, and keeps their GPUs for whoever wants it. */
  evict(victims: readonly ReplicaSnapshot[], want: Want): void {
    for (const victim of victims) {
      this.#doomed.add(victim);
      this.#coming += victim.gpus.length;
      this.#actions.push({
        kind: "stop",
        replica: victim.name,
        cause: "evicted",
        demand: want.demand,
        reason: `its GPUs are needed for ${want.recipe.model}`,
      });
    }
    this.place(want);
  }

  /** Stops what has been idle for its keep-alive. */
  reap(now: number): void {
    for (const replica of this.holders()) {
      if (!isIdle(replica) || replica.idleSince + replica.keepAliveMs > now) continue;
      this.#doomed.add(replica);
      this.#coming += replica.gpus.length;
      this.#actions.push({ kind: "stop", replica: replica.name, cause: "idle", reason: "idle" });
    }
  }

  hold({ demand }: Want, why: HoldReason): void {
    this.#holds.set(demand.id, { why, text: why });
  }

  refuse({ demand }: Want, error: AimError): void {
    this.#actions.push({ kind: "refuse", demand, error, reason: error.message });
  }

  /** Looked at again at that time at the latest. */
  plan(wakeAt: number | undefined): Plan {
    return { actions: this.#actions, holds: this.#holds, wakeAt };
  }

  #wantOf(demand: Demand): readonly Want[] {
    const recipe = this.#snapshot.recipes.find(({ model }) => model === demand.request.model);
    const profile = recipe?.profiles[0];
    return recipe === undefined || profile === undefined ? [] : [{ demand, recipe, profile, gpus: profile.gpus }];
  }
}

export function isIdle({ inFlight, waiting }: ReplicaSnapshot): boolean {
  return inFlight === 0 && waiting === 0;
}

/** The first ones that give back so many GPUs together; undefined where all of them do not. */
export function enough(holders: readonly ReplicaSnapshot[], wanted: number): readonly ReplicaSnapshot[] | undefined {
  const at = holders.findIndex((_, index) => sum(holders.slice(0, index + 1)) >= wanted);
  if (at < 0) return undefined;
  // The last one may make one before it needless.
  return holders.slice(0, at + 1).reduceRight<readonly ReplicaSnapshot[]>((kept, one, index) => {
    const others = [...holders.slice(0, index), ...kept];
    return sum(others) >= wanted ? kept : [one, ...kept];
  }, []);
}

function sum(replicas: readonly ReplicaSnapshot[]): number {
  return replicas.reduce((total, { gpus }) => total + gpus.length, 0);
}
