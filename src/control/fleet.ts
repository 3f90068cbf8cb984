// The one owner of mutable state: all replicas, all waiters, all launch orders. Everything here is synchronous, so that
// what is read and what is changed because of it are never apart. Free GPUs, idleness and demand are derived, never stored.
//
// In:  requests (acquire), operators (order, stop), effects (progress, started, ready, fail, gone), the reconciler (adopt, …).
// Out: a snapshot for the planner, and `onChange` whenever the planner should look again.
import type { Recipe } from "../catalog/recipe.ts";
import type { AimError } from "../errors.ts";
import type { BackendRef } from "../runtime/driver.ts";
import { blueprintOf, type Blueprint, type FoundReplica } from "./fleet/blueprint.ts";
import { DemandBook, type DemandView } from "./fleet/demand.ts";
import { Failures, shuttingDown, type ReplicaFailure } from "./fleet/failures.ts";
import type { FleetDeps, FleetHooks } from "./fleet/fleet-deps.ts";
import { takeSnapshot, type FleetParts } from "./fleet/fleet-view.ts";
import { Machines } from "./fleet/machines.ts";
import type { LaunchOrder, OrderResult } from "./fleet/orders.ts";
import { Replica, isStoppable, type Entry, type Nap, type ReplicaIdentity } from "./replica.ts";
import type { Hold, StopCause } from "./planner/why.ts";
import { Roster, type RosterView } from "./fleet/roster.ts";
import { Slots } from "./fleet/slots.ts";
import { Wanted } from "./fleet/wanted.ts";
import type { FleetSnapshot } from "./snapshot.ts";
import { identityOfStart, type StartDecision } from "./start-decision.ts";

export class Fleet {
  readonly #deps: FleetDeps;
  readonly #roster = new Roster();
  readonly #demand: DemandBook;
  /** What ought to run without being asked for. */
  readonly wanted: Wanted;
  readonly #failures: Failures;
  /** What the runtimes have. */
  readonly machines: Machines;
  readonly #parts: FleetParts;
  readonly #slots: Slots;
  #hooks: FleetHooks = { onChange() {}, onIdle() {}, onSuspect() {} };
  #closed = false;

  constructor(deps: FleetDeps) {
    this.#deps = deps;
    this.#demand = new DemandBook(deps);
    this.wanted = new Wanted(this.#roster, deps.recipes.recipes, deps.clock.now());
    this.#failures = new Failures(deps.clock);
    this.machines = new Machines({
      ...deps,
      roster: this.#roster,
      recoveryMs: deps.settings.recoveryMs,
      onChange: () => this.reconsider(),
      onSuspect: (runtime) => this.#hooks.onSuspect(runtime),
    });
    this.#parts = {
      deps,
      roster: this.#roster,
      demand: this.#demand,
      wanted: this.wanted,
      failures: this.#failures,
      machines: this.machines,
      keepAliveMs: (replica) => this.keepAliveMs(replica),
      heat: (model) => this.#slots.heat(model),
    };
    this.#slots = new Slots({
      ...deps,
      roster: this.#roster,
      demand: this.#demand,
      keepAliveMaxMs: deps.settings.keepAliveMaxMs,
      isSurveyed: () => this.machines.isSurveyed,
      onChange: () => this.reconsider(),
      onIdle: (replica) => this.#hooks.onIdle(replica.idleSince + replica.idleMs(this.keepAliveMs(replica))),
      onUnreachable: (replica, why) => this.#suspect(replica, why),
    });
  }

  connect(hooks: FleetHooks): void {
    this.#hooks = hooks;
  }

  /** Where requests get their leases. */
  get slots(): Pick<Slots, "tryAcquire" | "acquire"> {
    if (this.#closed) throw shuttingDown();
    return this.#slots;
  }

  /** What other threads say of the slots that they gave out; see `Lending`. */
  get others(): Pick<Slots, "freed" | "report" | "sweep"> {
    return this.#slots;
  }

  /** Resolves when the plan started a replica for it, or found one; rejects when it cannot be had or the signal aborts. */
  order(order: LaunchOrder, signal: AbortSignal): Promise<OrderResult> {
    if (this.#closed) throw shuttingDown();
    const isOrdered = ({ model }: Recipe) => model === order.request.model;
    for (const { id } of this.#deps.recipes.recipes.filter(isOrdered)) this.#failures.forgive(id);
    const placed = this.#demand.orders.add(order, signal, () => this.reconsider());
    this.reconsider();
    return placed;
  }

  /** Takes it down: what is in flight may finish unless `force`. Does nothing to one that is already going. */
  stop(replica: Replica, cause: StopCause, reason: string, options = { force: false }): void {
    const { isUsedAgain } = this.#slots.hold(replica, this.keepAliveMs(replica));
    if (cause === "idle" && isUsedAgain) return this.#slots.review();
    const busy = replica.inFlight > 0 && !options.force;
    if (replica.state === "ready" && busy) this.#move(replica, "draining", reason, cause);
    else if (isStoppable(replica.state)) this.#move(replica, "stopping", reason, cause);
    else if (replica.state === "draining" && !busy) this.#move(replica, "stopping", reason, cause);
  }

  /** A new replica in state pending; its GPUs are held from here on. */
  begin(decision: StartDecision, reason: string): Replica {
    const { start, want } = this.wanted.claim(decision);
    const name = start.demand?.wish?.name ?? this.#roster.freeName(start.recipe.id);
    const replica = this.#enter(identityOfStart(start, name), start, { state: "pending", reason });
    this.wanted.begun(replica, want);
    return replica;
  }

  /** Orders that cannot be met yet, and what becomes of them. */
  get orders(): Pick<DemandBook["orders"], "note" | "settle"> {
    return this.#demand.orders;
  }

  refuse(model: string, error: AimError): void {
    this.#demand.refuse(model, error);
    this.#slots.review();
  }

  hold(holds: ReadonlyMap<string, Hold>): void {
    this.#demand.hold(holds);
    this.#slots.planned();
  }

  advance(replica: Replica, state: "pulling" | "starting" | "loading", reason: string): void {
    if (replica.state !== state) this.#move(replica, state, reason);
  }

  /** What it is doing, in words. */
  describe(replica: Replica, progress: string): void {
    replica.reason = progress;
  }

  located(replica: Replica, ref: BackendRef, address: URL | undefined): void {
    replica.located(ref, address, this.#deps.clock.now());
  }

  /** It answers, be it after its load or after its sleep. */
  ready(replica: Replica): void {
    const { clock } = this.#deps;
    replica.answers(clock.now(), clock.wallNow());
    this.#move(replica, "ready", "ready");
    this.#failures.recovered(replica.identity.recipeId);
  }

  /** Its engine is to be put to sleep; from here on it gets no requests. Does nothing to one that is not idle. */
  doze(replica: Replica, reason: string): void {
    this.#slots.hold(replica, 0);
    if (replica.state === "ready" && replica.inFlight === 0) this.#move(replica, "dozing", reason);
    else this.#slots.review();
  }

  /** Its engine sleeps, be it that it was put to sleep or found so. */
  asleep(replica: Replica, nap: Nap): void {
    replica.sleeps(nap);
    this.#move(replica, "sleeping", "asleep");
    this.machines.giveBack(replica);
  }

  /** Its engine is to be woken. Does nothing to one that does not sleep. */
  rouse(replica: Replica, reason: string): void {
    if (replica.state === "sleeping") this.#move(replica, "waking", reason);
  }

  /** It died, or never became ready. Waiters get a definite answer unless another replica is on its way. */
  fail(replica: Replica, failure: ReplicaFailure): void {
    const error = this.#failures.judge(replica, failure);
    this.wanted.lost(replica, failure, this.#deps.clock.now());
    this.#move(replica, "failed", failure.message, "failed");
    this.#deps.journal.failed(replica, failure);
    replica.failureCause = failure.cause;
    const isComing = ({ isStarting, isServing, state }: Replica) => isStarting || isServing || state === "waking";
    if (error !== undefined && !this.#roster.ofModel(replica.model).some(isComing)) this.refuse(replica.model, error);
  }

  /** It could not be taken down, and that may be for good. */
  stopFailed(replica: Replica): void {
    replica.failedStops += 1;
  }

  /** What it runs: the name of its image, or that image's id. */
  identify(replica: Replica, images: { readonly image?: string | undefined; readonly imageId?: string }): void {
    Object.assign(replica, images);
  }

  /** Nothing of it is left. */
  gone(replica: Replica): void {
    this.#move(replica, "gone", replica.reason);
    this.#roster.bury(replica, this.#deps.clock.now());
    this.machines.giveBack(replica);
  }

  /** A replica of ours that already runs: it enters at `loading`, since whether it answers is to be found out. */
  adopt(identity: ReplicaIdentity, found: FoundReplica): Replica {
    const blueprint = blueprintOf(this.#deps.recipes.recipe(identity.recipeId), identity.profileId);
    const reason = "found running; checking that it answers";
    const start = { state: "loading", reason, startedAt: found.startedAt } as const;
    const replica = this.#enter(identity, blueprint, start);
    this.located(replica, found.ref, found.address);
    this.wanted.found(identity.recipeId);
    this.#deps.journal.adopted(replica);
    return replica;
  }

  /** A launch found it running and asked for another idle time; forgotten when the gateway restarts. */
  keep(replica: Replica, keepAliveMs: number): void {
    replica.keepAliveMs = keepAliveMs;
    this.reconsider();
  }

  /** Keeps it from being evicted and from being unloaded for being idle, or no longer; forgotten when the gateway restarts. */
  pin(replica: Replica, pinned: boolean): void {
    replica.pinned = pinned;
    this.#deps.journal.pinned(replica);
    this.reconsider();
  }

  /** Something has changed that a plan depends on, be it outside the fleet. */
  reconsider(): void {
    this.#slots.review();
    this.#hooks.onChange();
  }

  /** With a reason: it gets no new requests until called without one. */
  setResponsive(replica: Replica, why?: string): void {
    const responsive = why === undefined;
    if (replica.responsive === responsive) return;
    replica.responsive = responsive;
    replica.unresponsiveSince = responsive ? undefined : this.#deps.clock.now();
    replica.reason = why ?? "ready";
    this.#deps.journal.responsiveness(replica, why);
    this.#slots.servingChanged(replica);
    this.reconsider();
  }

  get replicas(): RosterView {
    return this.#roster;
  }

  get demand(): DemandView {
    return this.#demand;
  }

  /** An operator cleared away what was left: of a recipe's failures, and of a replica. */
  forget(recipeId: string, replica?: string): void {
    this.#failures.forgive(recipeId);
    if (replica !== undefined) this.#roster.forget(replica);
    this.reconsider();
  }

  lastFailure(recipeId: string): ReturnType<Failures["last"]> {
    return this.#failures.last(recipeId);
  }

  keepAliveMs(replica: Replica): number {
    return replica.keepAliveMs ?? replica.recipe?.keepAliveMs ?? this.#deps.settings.keepAliveMs;
  }

  snapshot(): FleetSnapshot {
    return takeSnapshot(this.#parts);
  }

  /** No new requests or orders; those that wait are told. */
  close(): void {
    this.#closed = true;
    this.#demand.refuseAll(shuttingDown());
    this.#slots.close();
  }

  #enter(identity: ReplicaIdentity, blueprint: Blueprint, start: Entry): Replica {
    const { clock } = this.#deps;
    const times = { now: clock.now(), wallNow: clock.wallNow() };
    const replica = new Replica(identity, blueprint, { ...start, ...times });
    this.#roster.add(replica);
    this.#deps.journal.moved(replica, undefined);
    this.reconsider();
    return replica;
  }

  #move(replica: Replica, to: Replica["state"], reason: string, cause?: StopCause): void {
    const from = replica.state;
    replica.transition(to, reason, this.#deps.clock.now());
    replica.stopCause ??= cause;
    this.#deps.journal.moved(replica, from);
    this.#slots.moved(replica, from);
    this.reconsider();
  }

  #suspect(replica: Replica, why: string): void {
    if (replica.state === "ready") this.setResponsive(replica, why);
    this.#hooks.onSuspect(replica.identity.runtime);
  }
}
