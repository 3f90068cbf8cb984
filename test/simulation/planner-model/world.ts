// A small world in which plans come true: what is started loads for a while and serves, what is stopped finishes and goes, what is put
// to sleep sleeps. Requests of a model that runs are all served at once, each time for a while. Time jumps from one event to the next.
import type { Recipe } from "../../../src/catalog/recipe.ts";
import { plan } from "../../../src/control/planner.ts";
import type { Action } from "../../../src/control/planner/actions.ts";
import type { ReplicaState } from "../../../src/control/replica.ts";
import type { Demand, FleetSnapshot, ReplicaSnapshot, SchedulingPolicy } from "../../../src/control/snapshot.ts";
import type { Gpu } from "../../../src/runtime/driver.ts";
import { replica, requests, snapshot } from "../../support/make-snapshot.ts";
import { breaches } from "./laws.ts";

/** How a model behaves. */
export interface Habits {
  readonly loadMs: number;
  readonly serveMs: number;
  /** Requests a minute, as the planner hears of it. */
  readonly heat: number;
  readonly sleeps: boolean;
  /** Its clients ask again as soon as they are served. */
  readonly isHot: boolean;
}

export interface WorldPlan {
  readonly recipes: readonly Recipe[];
  readonly gpus: readonly Gpu[];
  readonly policy: SchedulingPolicy;
  readonly habits: ReadonlyMap<string, Habits>;
}

interface Body {
  seen: ReplicaSnapshot;
  /** What becomes of it by itself, and when. */
  next: { readonly at: number; readonly state: ReplicaState | "gone" } | undefined;
}

interface Crowd {
  readonly since: number;
  readonly count: number;
}

const STOP_MS = 1_000;
const NAP_MS = 2_000;
/** More rounds than that at one instant are no planning any more. */
const MOST_ROUNDS = 20;

export class World {
  now = 1_000_000;
  readonly #plan: WorldPlan;
  readonly #bodies = new Map<string, Body>();
  readonly #crowds = new Map<string, Crowd>();
  readonly #blame: (what: string) => never;
  #wakeAt = Infinity;
  #next = 1;
  longestWaitMs = 0;

  constructor(worldPlan: WorldPlan) {
    this.#plan = worldPlan;
    this.#blame = (what) => {
      throw new Error(`${what}, at ${this.now}: ${JSON.stringify([...this.#bodies.values()].map(({ seen }) => seen))}`);
    };
    this.#settle();
  }

  get waiting(): readonly string[] {
    return [...this.#crowds.keys()];
  }

  ask(model: string, count: number): void {
    const { since = this.now, count: before = 0 } = this.#crowds.get(model) ?? {};
    this.#crowds.set(model, { since, count: before + count });
    this.#settle();
  }

  leave(model: string): void {
    this.#crowds.delete(model);
    this.#settle();
  }

  kill(index: number): void {
    const bodies = [...this.#bodies.values()];
    const body = bodies[index % Math.max(1, bodies.length)];
    if (body === undefined || body.seen.state === "stopping") return;
    this.#move(body, "failed", { at: this.now + STOP_MS, state: "gone" });
    this.#settle();
  }

  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const due = [...this.#bodies.values()].map(({ next }) => next?.at ?? Infinity);
      const at = Math.min(this.#wakeAt, ...due);
      if (at > end) break;
      this.now = at;
      for (const body of this.#bodies.values()) if (body.next !== undefined && body.next.at <= at) this.#become(body);
      this.#settle();
    }
    this.now = end;
    this.#note();
  }

  snapshot(): FleetSnapshot {
    const { recipes, gpus, policy } = this.#plan;
    const replicas = [...this.#bodies.values()].map(({ seen }) => {
      return { ...seen, waiting: this.#crowds.get(seen.model)?.count ?? 0 };
    });
    const demands: Demand[] = [...this.#crowds].map(([model, { since, count }]) =>
      requests(model, { since, waiting: count }),
    );
    return snapshot({ recipes, policy, replicas, demands: demands.sort((a, b) => a.rank - b.rank), runtime: { gpus } });
  }

  /** Plans until there is nothing to do: what is done at one instant is not undone at the same. */
  #settle(): void {
    const done = new Set<string>();
    for (let round = 0; ; round++) {
      this.#serve();
      const seen = this.snapshot();
      const made = plan(seen, this.now);
      const [breach] = breaches(seen, made, this.now);
      if (breach !== undefined) this.#blame(breach);
      this.#wakeAt = made.wakeAt ?? Infinity;
      if (made.actions.length === 0) return this.#note();
      if (round === MOST_ROUNDS) this.#blame(`no end of ${JSON.stringify(made.actions.map(({ reason }) => reason))}`);
      for (const action of made.actions) this.#apply(action, done);
    }
  }

  #apply(action: Action, done: Set<string>): void {
    if (action.kind === "settle") return;
    if (action.kind === "refuse") return void this.#crowds.delete(action.demand.request.model);
    const body = action.kind === "start" ? this.#begin(action) : this.#bodies.get(action.replica);
    if (body === undefined) return this.#blame("there is no such replica");
    const { name, inFlight, model } = body.seen;
    if (done.has(name)) this.#blame(`${name} has hardly begun one thing when it is told another: ${action.reason}`);
    done.add(name);
    const { loadMs } = this.#habits(model);
    if (action.kind === "start") body.next = { at: this.now + loadMs, state: "ready" };
    if (action.kind === "wake") this.#move(body, "waking", { at: this.now + NAP_MS, state: "ready" });
    if (action.kind === "sleep") this.#move(body, "dozing", { at: this.now + NAP_MS, state: "sleeping" });
    if (action.kind !== "stop") return;
    if (inFlight > 0) this.#move(body, "draining", body.next);
    else this.#move(body, "stopping", { at: this.now + STOP_MS, state: "gone" });
  }

  #begin({ recipe, profile, gpus }: Extract<Action, { kind: "start" }>): Body {
    const name = `${recipe.id}-${this.#next++}`;
    const { loadMs, heat, sleeps } = this.#habits(recipe.model);
    const seen = replica(recipe.model, {
      name,
      gpus,
      loadMs,
      heat,
      state: "loading",
      profileId: profile.id,
      share: profile.gpuFraction ?? 1,
      residualShare: sleeps ? 0.04 : 0,
      keepAliveMs: 20 * 60_000,
      idleSince: this.now,
      stateSince: this.now,
      readyAt: 0,
      ...(sleeps ? { sleep: { afterMs: 5 * 60_000, level: 1, hostBytes: 10 } } : {}),
    });
    const body: Body = { seen, next: undefined };
    this.#bodies.set(name, body);
    return body;
  }

  #become(body: Body): void {
    const { state, name, model, inFlight } = body.seen;
    const to = body.next?.state;
    if (to === "gone" || to === undefined) return void this.#bodies.delete(name);
    body.seen = { ...body.seen, inFlight: 0 };
    if (state === "draining") return this.#move(body, "stopping", { at: this.now + STOP_MS, state: "gone" });
    if (state === "ready" && this.#habits(model).isHot && !this.#crowds.has(model))
      this.#crowds.set(model, { since: this.now, count: inFlight });
    if (state !== "ready") return this.#arrive(body, to);
    body.seen = { ...body.seen, idleSince: this.now };
    body.next = undefined;
  }

  #arrive(body: Body, to: ReplicaState): void {
    this.#move(body, to, undefined);
    if (to === "ready") body.seen = { ...body.seen, readyAt: this.now, idleSince: this.now };
  }

  /** Whoever waits for what is ready has it, and time goes on for his while. */
  #serve(): void {
    for (const body of this.#bodies.values()) {
      const { state, model, inFlight } = body.seen;
      const crowd = this.#crowds.get(model);
      if (state !== "ready" || crowd === undefined || inFlight > 0) continue;
      this.#note();
      this.#crowds.delete(model);
      body.seen = { ...body.seen, inFlight: crowd.count };
      body.next = { at: this.now + this.#habits(model).serveMs, state: "ready" };
    }
  }

  #move(body: Body, state: ReplicaState, next: Body["next"]): void {
    body.seen = { ...body.seen, state, stateSince: this.now };
    body.next = next;
  }

  #note(): void {
    for (const { since } of this.#crowds.values()) this.longestWaitMs = Math.max(this.longestWaitMs, this.now - since);
  }

  #habits(model: string): Habits {
    return this.#plan.habits.get(model) ?? this.#blame(`there is no model ${model}`);
  }
}
