// Holds each plan against the contract of the scheduler, by what the planner was shown: who may be sent away, when, and what may
// be started where.
import { isLeaving, isStarting } from "../../src/control/replica.ts";
import type { Action, Plan } from "../../src/control/planner/actions.ts";
import type { FleetSnapshot, ReplicaSnapshot } from "../../src/control/snapshot.ts";

type StartAction = Extract<Action, { kind: "start" }>;
type StopAction = Extract<Action, { kind: "stop" }>;

const MINUTE_MS = 60_000;
/** What it takes to have one back that sleeps. */
const NAP_MS = 5_000;
/** Before a load that nobody waits for may be given up. */
const ABANDONED_MS = 15_000;
/** Shares are sums of decimals. */
const SLACK = 1e-9;

export class Audit {
  readonly #blame: (what: string) => void;

  constructor(blame: (what: string) => void) {
    this.#blame = blame;
  }

  /** The plan, as it was. */
  check(snapshot: FleetSnapshot, plan: Plan, now: number): Plan {
    if (plan.actions.length > 0) {
      const one = new PlanAudit(snapshot, plan, { now, blame: this.#blame });
      for (const action of plan.actions) one.check(action);
    }
    if (plan.wakeAt !== undefined && plan.wakeAt <= now) this.#blame(`a plan at ${now} asks to be woken before`);
    return plan;
  }
}

class PlanAudit {
  readonly #snapshot: FleetSnapshot;
  readonly #plan: Plan;
  readonly #now: number;
  readonly #blame: (what: string) => void;
  /** Shares that this plan gives out, by GPU. */
  readonly #given = new Map<string, number>();
  #loading: number;

  constructor(
    snapshot: FleetSnapshot,
    plan: Plan,
    context: { readonly now: number; readonly blame: (what: string) => void },
  ) {
    this.#snapshot = snapshot;
    this.#plan = plan;
    this.#now = context.now;
    this.#blame = context.blame;
    const stops = new Set(plan.actions.map((action) => (action.kind === "stop" ? action.replica : "")));
    this.#loading = snapshot.replicas.filter(({ name, state }) => isStarting(state) && !stops.has(name)).length;
  }

  check(action: Action): void {
    switch (action.kind) {
      case "start":
        return this.#checkStart(action);
      case "stop": {
        const replica = this.#find(action.replica);
        if (replica !== undefined) this.#checkStop(action, replica);
        return;
      }
      case "sleep": {
        const replica = this.#find(action.replica);
        if (replica === undefined) return;
        if (replica.state !== "ready" || isUsed(replica) || replica.sleep === undefined)
          this.#blame(`${replica.name} is put to sleep: ${JSON.stringify(replica)}`);
        if (action.why === "evicted") this.#checkYields(replica, action.demand);
        return;
      }
      case "wake": {
        const replica = this.#find(action.replica);
        if (replica === undefined) return;
        if (replica.state !== "sleeping") this.#blame(`${replica.name} is woken while it is ${replica.state}`);
        if (action.demand?.mayStart === false)
          this.#blame(`${replica.name} is woken for those who have no right to it`);
        return this.#checkRoom(replica.name, replica.gpus, replica.share);
      }
      case "settle":
      case "refuse":
        return;
    }
  }

  #find(name: string): ReplicaSnapshot | undefined {
    const replica = this.#snapshot.replicas.find((one) => one.name === name);
    if (replica === undefined) this.#blame(`a plan names ${name}, which is not there`);
    return replica;
  }

  #checkStart({ recipe, profile, gpus, demand, runtime }: StartAction): void {
    const what = `a start of ${recipe.id}`;
    if (demand?.mayStart === false) this.#blame(`${what} is for those who have no right to it`);
    if (this.#snapshot.failures.has(recipe.id) && demand?.kind !== "order") this.#blame(`${what} ignores its pause`);
    for (const gpu of gpus)
      if (this.#snapshot.blocks.has(`${runtime}/${gpu}`)) this.#blame(`${what} is placed on ${gpu}, which is blocked`);
    if (gpus.length !== profile.gpus) this.#blame(`${what} is given ${gpus.length} GPUs instead of ${profile.gpus}`);
    this.#checkRoom(what, gpus, profile.gpuFraction ?? 1);
    this.#loading += 1;
    if (demand?.kind === "requests" && this.#loading > this.#snapshot.policy.maxStarts)
      this.#blame(`${what} makes ${this.#loading} that load at a time`);
  }

  /** Those who are on their way out hold what they have until they are gone. */
  #checkRoom(what: string, gpus: readonly string[], share: number): void {
    for (const gpu of gpus) {
      const holders = this.#snapshot.replicas.filter((one) => one.gpus.includes(gpu) && one.state !== "sleeping");
      const sum = holders.reduce((total, one) => total + one.share, share + (this.#given.get(gpu) ?? 0));
      if (sum > 1 + SLACK) this.#blame(`${what} gets ${gpu}, which ${holders.map(({ name }) => name).join()} has`);
      this.#given.set(gpu, share + (this.#given.get(gpu) ?? 0));
    }
  }

  #checkStop({ cause, demand, reason }: StopAction, replica: ReplicaSnapshot): void {
    const { name, state, stale, idleSince, keepAliveMs, waiting } = replica;
    const what = `${name} is stopped (${reason})`;
    if (isLeaving(state)) this.#blame(`${what} although it is ${state}`);
    if (cause === "idle" || cause === "stale") {
      // One that sleeps serves nobody, and those who wait are better off with a fresh one.
      if (isUsed(replica) && !(cause === "stale" && state === "sleeping")) this.#blame(`${what} while it is used`);
      if (cause === "idle" && this.#now < idleSince + keepAliveMs) this.#blame(`${what} before its time`);
    }
    if (cause === "unwanted" && (waiting > 0 || !this.#snapshot.policy.abortsUnwanted))
      this.#blame(`${what} while it is wanted`);
    if (cause === "unwanted" && this.#now < idleSince + ABANDONED_MS) this.#blame(`${what} too soon`);
    if (!stale && (cause === "idle" || cause === "evicted" || cause === "scaled in")) this.#checkKept(replica, what);
    if (cause === "evicted") this.#checkYields(replica, demand);
  }

  /** Neither a pinned one nor the minimum of a recipe goes. */
  #checkKept({ name, recipeId, pinned, state, responsive }: ReplicaSnapshot, what: string): void {
    if (pinned && !isStarting(state)) this.#blame(`${what} although it is pinned`);
    const min = this.#snapshot.recipes.find(({ id }) => id === recipeId)?.replicas.min ?? 0;
    if (min === 0 || !responsive || state === "sleeping") return;
    const goes = (one: ReplicaSnapshot) =>
      this.#plan.actions.some((action) => "replica" in action && action.replica === one.name);
    const left = this.#snapshot.replicas.filter(
      (one) => one.recipeId === recipeId && one.name !== name && isThere(one) && !goes(one),
    );
    if (left.length < min) this.#blame(`${what} although its recipe keeps ${min}`);
  }

  /** Who is used gives way to nobody who has not waited long, and who is likely to be so again is not sent away at once. */
  #checkYields(replica: ReplicaSnapshot, demand: StopAction["demand"]): void {
    if (replica.state !== "ready" || demand === undefined) return;
    const { minResidencyMs, maxWaitMs } = this.#snapshot.policy;
    const { name, readyAt, idleSince, loadMs, sleep, heat } = replica;
    const returnMs = sleep === undefined ? loadMs : Math.min(NAP_MS, loadMs);
    const leastMs = Math.min(minResidencyMs, returnMs) - SLACK;
    const hasServed = this.#now - readyAt >= leastMs;
    if (demand.kind === "requests" && this.#now - demand.since >= maxWaitMs - SLACK && hasServed) return;
    if (isUsed(replica)) return this.#blame(`${name} is drained for ${demand.id}, which has not waited for long`);
    const isInDemand = heat * returnMs >= MINUTE_MS;
    if (demand.kind !== "order" && isInDemand && !hasServed && this.#now - idleSince < leastMs)
      this.#blame(`${name} makes room for ${demand.id} before it was of use`);
  }
}

function isUsed({ inFlight, waiting }: ReplicaSnapshot): boolean {
  return inFlight > 0 || waiting > 0;
}

function isThere({ state, responsive }: ReplicaSnapshot): boolean {
  return isStarting(state) || state === "waking" || (state === "ready" && responsive);
}
