// A plan in the making: decisions taken so far change what the next ones see.
import type { AimError } from "../../errors.ts";
import type { Profile, Recipe, RuntimeName } from "../../catalog/recipe.ts";
import { isStarting } from "../replica.ts";
import { runtimeOf, type Demand, type FleetSnapshot, type ReplicaSnapshot } from "../snapshot.ts";
import type { Action, Plan } from "./actions.ts";
import { Census } from "./census.ts";
import { Ledger, type Placement } from "./ledger.ts";
import type { Place } from "./placement.ts";
import { costOf, isIdle } from "./residency.ts";
import type { Occupancy } from "./occupants.ts";
import { reasonToGo } from "./room.ts";
import { memoryShareOf } from "./supply.ts";
import type { Hold, HoldReason, SleepReason, StartReason, StopCause } from "./why.ts";

/** What `select` chose. */
export interface Chosen {
  readonly recipe: Recipe;
  readonly profile: Profile;
  readonly runtime: RuntimeName;
  readonly reasons: readonly string[];
}

/** What a decision is for. */
export interface Purpose {
  readonly why: StartReason;
  readonly reason: string;
  readonly demand?: Demand;
}

export class Draft {
  readonly snapshot: FleetSnapshot;
  readonly now: number;
  readonly census: Census;
  readonly ledger: Ledger;
  readonly #actions: Action[] = [];
  readonly #holds = new Map<string, Hold>();
  #wakeAt: number | undefined;
  /** Models of which this plan starts a replica. */
  readonly #starting = new Set<string>();
  /** Bytes of the host's memory that those take who sleep, by now or by this plan. */
  #asleepBytes = 0;
  /** Models that requests wait for, and that nothing serves or will. */
  readonly #rivals: number;
  /** What was worked out of replicas, until one of their model comes or goes by this plan. */
  readonly #costs = new Map<ReplicaSnapshot, number>();
  readonly #kept = new Map<ReplicaSnapshot, boolean>();

  constructor(snapshot: FleetSnapshot, now: number) {
    this.snapshot = snapshot;
    this.now = now;
    this.census = new Census(snapshot);
    this.ledger = new Ledger(snapshot, now);
    this.#rivals = snapshot.demands.filter(
      ({ kind, request }) => kind === "requests" && !this.census.isComing(request.model),
    ).length;
    for (const { state, sleep } of snapshot.replicas) {
      if (sleep !== undefined && (state === "sleeping" || state === "dozing" || state === "waking"))
        this.#asleepBytes += sleep.hostBytes;
    }
  }

  get plan(): Plan {
    return { actions: this.#actions, holds: this.#holds, wakeAt: this.#wakeAt };
  }

  /** What the room for a demand is judged by. */
  get occupancy(): Occupancy {
    return {
      ledger: this.ledger,
      now: this.now,
      contract: { policy: this.snapshot.policy, rivals: this.#rivals },
      isKept: (replica) => this.isKept(replica),
      costOf: (replica) => this.#costOf(replica),
    };
  }

  #forget(model: string): void {
    for (const replica of this.census.ofModel(model)) {
      this.#costs.delete(replica);
      this.#kept.delete(replica);
    }
  }

  /** Whether a start of the model has been decided in this plan, which the snapshot does not show. */
  isStarting(model: string): boolean {
    return this.#starting.has(model);
  }

  get startsAny(): boolean {
    return this.#starting.size > 0;
  }

  /** Whether so many load already that no other start may begin. */
  get isAtLimit(): boolean {
    return this.census.loading >= this.snapshot.policy.maxStarts;
  }

  #costOf(replica: ReplicaSnapshot): number {
    const known = this.#costs.get(replica);
    if (known !== undefined) return known;
    const cost = costOf(replica, this.census.live({ id: replica.recipeId, model: replica.model }).length);
    this.#costs.set(replica, cost);
    return cost;
  }

  /** Neither unloaded for being idle nor sent away for another model. */
  isKept(replica: ReplicaSnapshot): boolean {
    const known = this.#kept.get(replica);
    if (known !== undefined) return known;
    const isKept = this.#isKept(replica);
    this.#kept.set(replica, isKept);
    return isKept;
  }

  #isKept(replica: ReplicaSnapshot): boolean {
    if (replica.stuck) return true;
    if (replica.stale) return false;
    if (replica.pinned) return true;
    const recipe = this.census.recipesOf(replica.model).find(({ id }) => id === replica.recipeId);
    if (recipe === undefined || recipe.replicas.min === 0) return false;
    return this.census.minimumOf(recipe).includes(replica);
  }

  /** While its runtime is away it could not be stopped, and goes on serving. */
  isAway({ runtime }: ReplicaSnapshot): boolean {
    return this.snapshot.runtimes.get(runtime)?.unavailable !== undefined;
  }

  /** Before a runtime was listed once, what runs there is unknown, and nothing may be started in its stead. */
  isKnown(recipes: readonly Recipe[]): boolean {
    return recipes.every((recipe) => {
      const runtime = runtimeOf(this.snapshot, recipe);
      return runtime === undefined || runtime.known || runtime.unavailable !== undefined;
    });
  }

  /** Where it sleeps, as a placement; undefined when its recipe no longer says how it was made. */
  bedOf(sleeper: ReplicaSnapshot): Placement | undefined {
    const recipe = this.census.recipesOf(sleeper.model).find(({ id }) => id === sleeper.recipeId);
    const profile = recipe?.profiles.find(({ id }) => id === sleeper.profileId);
    if (recipe === undefined || profile === undefined) return undefined;
    return { recipe, profile, runtime: sleeper.runtime, on: sleeper.gpus, waking: sleeper };
  }

  start(chosen: Chosen, { gpus, why: where }: Place, { why, reason, demand }: Purpose): void {
    const { recipe, profile, runtime } = chosen;
    this.ledger.take(runtime, gpus, profile.gpuFraction ?? 1);
    this.#starting.add(recipe.model);
    this.census.loading += 1;
    const reasons = [...chosen.reasons, ...(where === "" ? [] : [where])];
    const cause = demand === undefined ? {} : { demand };
    this.#actions.push({ kind: "start", recipe, profile, runtime, gpus, why, ...cause, reason, reasons });
  }

  wake(replica: ReplicaSnapshot, { why, reason, demand }: Purpose): void {
    this.ledger.take(replica.runtime, replica.gpus, replica.share);
    this.census.rouse(replica);
    this.#forget(replica.model);
    this.#starting.add(replica.model);
    const cause = demand === undefined ? {} : { demand };
    this.#actions.push({ kind: "wake", replica: replica.name, why, ...cause, reason });
  }

  stop(replica: ReplicaSnapshot, cause: StopCause, reason: string, demand?: Demand): void {
    if (this.census.isGone(replica)) return;
    this.census.sendAway(replica);
    this.#forget(replica.model);
    this.ledger.release(replica);
    const whose = demand === undefined ? {} : { demand };
    this.#actions.push({ kind: "stop", replica: replica.name, cause, ...whose, reason });
  }

  /** False where it is in use or does not answer, or there is too little of the host's memory left for one more that sleeps. */
  sleep(replica: ReplicaSnapshot, why: SleepReason, reason: string, demand?: Demand): boolean {
    const { sleep } = replica;
    const canSleep = replica.state === "ready" && isIdle(replica) && replica.responsive;
    if (sleep === undefined || !canSleep || this.census.isGone(replica)) return false;
    if (this.#asleepBytes + sleep.hostBytes > this.snapshot.policy.sleepMemoryBytes) return false;
    this.#asleepBytes += sleep.hostBytes;
    this.census.sendAway(replica);
    this.#forget(replica.model);
    this.ledger.release(replica);
    const whose = demand === undefined ? {} : { demand };
    this.#actions.push({ kind: "sleep", replica: replica.name, level: sleep.level, why, ...whose, reason });
    return true;
  }

  /** Sends it away for a demand: to sleep where it can and the newcomer fits beside it, else for good. Says which, in words. */
  evict(victim: ReplicaSnapshot, placement: Placement, demand: Demand): string {
    const reason = reasonToGo(victim, placement.recipe.model, this.now);
    const share = placement.profile.gpuFraction ?? memoryShareOf(placement.profile);
    const fitsBeside = victim.residualShare + share <= 1;
    if (fitsBeside && this.sleep(victim, "evicted", reason, demand)) return `putting ${victim.name} to sleep`;
    this.stop(victim, isStarting(victim.state) ? "unwanted" : "evicted", reason, demand);
    return `stopping ${victim.name}`;
  }

  settle(demand: Demand, replica: ReplicaSnapshot, reason: string): void {
    this.#actions.push({ kind: "settle", demand, replica: replica.name, reason });
  }

  /** Whoever asked is told; what nobody asked for waits for better times. */
  refuse(demand: Demand, error: AimError): void {
    if (demand.kind === "wanted") return this.hold(demand, "backing off", error.message);
    this.#actions.push({ kind: "refuse", demand, error, reason: error.message });
  }

  hold(demand: Demand, why: HoldReason, text: string, until?: number): void {
    this.#holds.set(demand.id, { why, text, ...(until === undefined ? {} : { until }) });
    if (until !== undefined) this.lookAgain(until);
  }

  lookAgain(at: number): void {
    // In whole milliseconds: of shares of a time, the last fraction can be too little to be added to a clock, and would be
    // waited for without end.
    if (at !== Infinity) this.#wakeAt = Math.min(this.#wakeAt ?? Infinity, Math.ceil(at));
  }
}
