// What to do now: a pure function of a snapshot and a time. Every action and every wait carries a reason a person can read.
import type { Recipe } from "../catalog/recipe.ts";
import { select, type Selection } from "../catalog/select.ts";
import { AimError } from "../errors.ts";
import { formatDuration } from "../lib/units.ts";
import { refusal } from "./fleet/failures.ts";
import { Ledger, offersOf, unusableFor, type Placement } from "./planner/ledger.ts";
import { answerOrder } from "./planner/order-answer.ts";
import type { Place } from "./planner/placement.ts";
import { isLeaving } from "./replica.ts";
import type { Hold, HoldReason, StopCause } from "./planner/why.ts";
import { isIdle, makeRoom, reasonToStop, type Room } from "./planner/room.ts";
import { gpuKey } from "./fleet/gpus.ts";
import type { Action, Plan } from "./planner/actions.ts";
import { isLive, runtimeOf, type Demand, type FleetSnapshot, type ReplicaSnapshot } from "./snapshot.ts";

export function plan(snapshot: FleetSnapshot, now: number): Plan {
  const draft = new Draft(snapshot, now);
  draft.reapIdle();
  for (const demand of snapshot.demands) draft.meet(demand);
  draft.keepMinimum();
  return { actions: draft.actions, holds: draft.holds, wakeAt: draft.wakeAt };
}

/** When to ask again after a runtime was found unavailable. */
const RUNTIME_RETRY_MS = 10_000;

/** When to ask again while replicas that are kept take the room. */
const NO_ROOM_RETRY_MS = 30_000;

type Chosen = Extract<Selection, { kind: "selected" }>;

/** A plan in the making: decisions taken so far change what the next ones see. */
class Draft {
  readonly actions: Action[] = [];
  readonly holds = new Map<string, Hold>();
  wakeAt: number | undefined;
  readonly #snapshot: FleetSnapshot;
  readonly #now: number;
  readonly #ledger: Ledger;
  /** Replicas this plan already stops. */
  readonly #doomed = new Set<string>();
  /** Models this plan already starts a replica of. */
  readonly #starting = new Set<string>();

  constructor(snapshot: FleetSnapshot, now: number) {
    this.#snapshot = snapshot;
    this.#now = now;
    this.#ledger = new Ledger(snapshot);
  }

  /** Idle = nothing in flight and nobody waiting; the recipe's minimum stays. */
  reapIdle(): void {
    for (const replica of this.#snapshot.replicas) {
      if (!isIdle(replica) || this.#isAway(replica)) continue;
      if (replica.stale) this.#stop(replica, "stale", "its recipe has changed or is gone, and it is idle");
      else if (!this.#isKept(replica)) this.#reapWhenDue(replica);
    }
  }

  meet(demand: Demand): void {
    const { model } = demand.request;
    if (demand.kind === "requests" && this.#isComing(model)) return;
    // The snapshot does not show what this plan starts: the next plan sees whether that is what the order asks for.
    if (this.#starting.has(model)) return this.#hold(demand, "starting", `a start of ${model} has just been decided`);
    // Nor what it is going to be called.
    if (demand.wish?.name !== undefined && this.#starting.size > 0)
      return this.#hold(demand, "starting", "another start has just been decided");
    const recipes = this.#snapshot.recipes.filter((recipe) => recipe.model === model);
    if (!this.#isKnown(recipes)) return this.#hold(demand, "surveying", "looking for replicas that already run");
    const selection = select(
      recipes,
      demand.request,
      offersOf(this.#snapshot, this.#ledger),
      this.#snapshot.defaultRuntime,
    );
    if (selection.kind !== "selected") return this.#refuse(demand, this.#unavailable(demand, recipes, selection.why));
    if (demand.kind === "order" && this.#answer(demand, selection)) return;
    const failure = this.#snapshot.failures.get(selection.recipe.id);
    if (failure !== undefined && demand.kind === "requests") {
      return this.#refuse(demand, refusal(failure, failure.until - this.#now));
    }
    this.#place(demand, selection);
  }

  /** `replicas.min` of a recipe is demand that never ends, but never evicts. */
  keepMinimum(): void {
    for (const recipe of this.#snapshot.recipes) {
      if (recipe.replicas.min === 0 || this.#starting.has(recipe.model)) continue;
      if (this.#live(recipe.id).length >= recipe.replicas.min) continue;
      const failure = this.#snapshot.failures.get(recipe.id);
      if (failure !== undefined) this.#wake(failure.until);
      else this.#startForMinimum(recipe);
    }
  }

  #startForMinimum(recipe: Recipe): void {
    if (!this.#isKnown([recipe])) return;
    const request = { model: recipe.model, recipe: recipe.id };
    const offers = offersOf(this.#snapshot, this.#ledger);
    const selection = select([recipe], request, offers, this.#snapshot.defaultRuntime);
    if (selection.kind !== "selected") return;
    const place = this.#ledger.find(selection);
    if (place !== undefined) this.#start(selection, place, `the recipe keeps at least ${recipe.replicas.min} running`);
  }

  #place(demand: Demand, selection: Chosen): void {
    const on = demand.wish?.on;
    const chosen = on === undefined ? selection : { ...selection, on };
    const place = this.#ledger.find(chosen);
    if (place !== undefined) {
      const reason =
        demand.kind === "order" ? "an operator asked for it" : `${demand.waiting} waiting for ${demand.request.model}`;
      return this.#start(chosen, place, reason, demand);
    }
    const room = makeRoom(chosen, demand, {
      ledger: this.#ledger,
      now: this.#now,
      replicas: this.#snapshot.replicas.filter((one) => this.#stays(one)),
      isKept: (replica) => replica.stuck || this.#isKept(replica),
    });
    this.#occupy(demand, chosen, room);
  }

  /** It gives nothing back without being asked, or at all. */
  #stays({ name, state, stuck }: ReplicaSnapshot): boolean {
    return stuck || (!isLeaving(state) && !this.#doomed.has(name));
  }

  /** There is no room yet: makes some, waits for it, or says that there will be none. */
  #occupy(demand: Demand, chosen: Placement & Chosen, room: Room): void {
    const { model } = demand.request;
    switch (room.kind) {
      case "coming":
        this.#ledger.reserve(chosen);
        return this.#hold(demand, "coming", `waiting for ${room.names.join(", ")} to give back its GPUs`);
      case "stop":
        for (const victim of room.victims)
          this.#stop(victim, "evicted", reasonToStop(victim, model, this.#now), demand);
        this.#ledger.reserve(chosen);
        return this.#hold(
          demand,
          "making room",
          `making room: stopping ${room.victims.map((victim) => victim.name).join(", ")}`,
        );
      case "busy":
        if (room.isPatient) this.#ledger.reserve(chosen);
        if (room.until !== undefined) this.#wake(room.until);
        return this.#hold(
          demand,
          "busy",
          `all ${this.#ledger.describe(chosen)} are busy; waiting for one to become idle`,
        );
      case "kept": {
        const why = `${model} has no room: of ${this.#ledger.describe(chosen)}, too many are kept by ${room.names.join(", ")}`;
        return this.#refuse(demand, new AimError("no_capacity", why, { retryAfterMs: NO_ROOM_RETRY_MS }));
      }
    }
  }

  /** Before a runtime was listed once, what runs there is unknown, and nothing may be started in its stead. */
  #isKnown(recipes: readonly Recipe[]): boolean {
    return recipes.every((recipe) => {
      const runtime = runtimeOf(this.#snapshot, recipe);
      return runtime === undefined || runtime.known || runtime.unavailable !== undefined;
    });
  }

  /** A runtime that is away, or a GPU that cannot be used, may come back; anything else needs an operator. */
  #unavailable(demand: Demand, recipes: readonly Recipe[], why: string): AimError {
    const snapshot = this.#snapshot;
    const message = `${demand.request.model} cannot be served: ${why}`;
    if (recipes.some((recipe) => runtimeOf(snapshot, recipe)?.unavailable !== undefined)) {
      return new AimError("runtime_unavailable", message, { retryAfterMs: RUNTIME_RETRY_MS });
    }
    const offers = offersOf({ ...snapshot, blocks: new Map() }, this.#ledger);
    const wouldFit = select(recipes, demand.request, offers, snapshot.defaultRuntime).kind === "selected";
    if (!wouldFit) return new AimError("model_unavailable", message);
    const blocked = unusableFor(snapshot, recipes).join("; ");
    return new AimError("no_capacity", `${message}; ${blocked}`, { retryAfterMs: NO_ROOM_RETRY_MS });
  }

  /** True when the order needs no new replica: there is one as asked for, or there can be none. */
  #answer(demand: Demand, { recipe, profile, runtime }: Chosen): boolean {
    const answer = answerOrder(demand, {
      recipe,
      profile,
      live: this.#live(recipe.id),
      states: new Map(this.#snapshot.replicas.map(({ name, state }) => [name, state])),
      gpus: this.#snapshot.runtimes.get(runtime)?.gpus ?? [],
      block: (gpu) => this.#snapshot.blocks.get(gpuKey(runtime, gpu)),
    });
    if (answer.kind === "refused") this.#refuse(demand, answer.error);
    if (answer.kind === "there") {
      const { name, model } = answer.replica;
      const reason = `${name} already serves ${model} with ${profile.id}`;
      this.actions.push({ kind: "settle", demand, replica: name, reason });
    }
    return answer.kind !== "wanted";
  }

  #start(chosen: Chosen, { gpus, why }: Place, reason: string, demand?: Demand): void {
    const { recipe, profile, runtime } = chosen;
    this.#ledger.take(runtime, gpus);
    this.#starting.add(recipe.model);
    const reasons = [...chosen.reasons, ...(why === "" ? [] : [why])];
    const cause = demand === undefined ? {} : { demand };
    const because = demand?.why ?? "minimum";
    this.actions.push({ kind: "start", recipe, profile, runtime, gpus, why: because, ...cause, reason, reasons });
  }

  #stop(replica: ReplicaSnapshot, cause: StopCause, reason: string, demand?: Demand): void {
    if (this.#doomed.has(replica.name)) return;
    this.#doomed.add(replica.name);
    this.#ledger.doom(replica.name);
    this.actions.push({
      kind: "stop",
      replica: replica.name,
      cause,
      ...(demand === undefined ? {} : { demand }),
      reason,
    });
  }

  #refuse(demand: Demand, error: AimError): void {
    this.actions.push({ kind: "refuse", demand, error, reason: error.message });
  }

  #hold(demand: Demand, why: HoldReason, text: string): void {
    this.holds.set(demand.id, { why, text });
  }

  #wake(at: number): void {
    this.wakeAt = Math.min(this.wakeAt ?? Infinity, at);
  }

  /** While its runtime is away it could not be stopped, and goes on serving. */
  #isAway({ runtime }: ReplicaSnapshot): boolean {
    return this.#snapshot.runtimes.get(runtime)?.unavailable !== undefined;
  }

  #reapWhenDue(replica: ReplicaSnapshot): void {
    const due = replica.idleSince + replica.keepAliveMs;
    if (due > this.#now) {
      if (due !== Infinity) this.#wake(due);
      return;
    }
    const idle = formatDuration(this.#now - replica.idleSince);
    this.#stop(replica, "idle", `idle for ${idle} (keep-alive ${formatDuration(replica.keepAliveMs)})`);
  }

  /** Whether the recipe's minimum needs this replica. */
  #isKept(replica: ReplicaSnapshot): boolean {
    const min = this.#snapshot.recipes.find((recipe) => recipe.id === replica.recipeId)?.replicas.min ?? 0;
    const counts = replica.state !== "ready" || replica.responsive;
    return min > 0 && counts && !replica.stale && this.#live(replica.recipeId).length <= min;
  }

  /** Replicas of the recipe that serve or will. */
  #live(recipeId: string): readonly ReplicaSnapshot[] {
    return this.#snapshot.replicas.filter(
      (replica) => replica.recipeId === recipeId && !this.#doomed.has(replica.name) && isLive(replica),
    );
  }

  /** Whether requests of the model only have to wait for what is there: a start under way, or a slot on a busy replica. */
  #isComing(model: string): boolean {
    if (this.#starting.has(model)) return true;
    return this.#snapshot.replicas.some((replica) => replica.model === model && isLive(replica));
  }
}
