// The slots on replicas: who gets one, and what a slot given back means for those who wait. A part of the fleet: synchronous,
// and on the hot path.
import { AimError, messageOf } from "../../errors.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Router } from "../balance/router.ts";
import type { Assignment } from "../balance/seat.ts";
import type { Journal } from "../journal.ts";
import type { DemandBook } from "./demand.ts";
import { Ejections } from "./ejections.ts";
import { Heat } from "./heat.ts";
import { Lending, type Lender } from "./lending.ts";
import { ReplicaLease, type LeaseOutcome, type RequestTraits } from "./lease.ts";
import { Ramps } from "./ramps.ts";
import type { Replica, ReplicaState } from "../replica.ts";
import type { Roster } from "./roster.ts";
import { reasonOf, type Applicant } from "./waiters.ts";

export interface SlotsDeps {
  readonly clock: Clock;
  readonly roster: Roster;
  readonly router: Router;
  readonly demand: DemandBook;
  readonly journal: Pick<Journal, "turnedAway" | "ejected" | "trusted">;
  /** Longest idle time before unload that a request may ask for. */
  readonly keepAliveMaxMs: number;
  /** Where other threads give out slots, too; absent: nowhere. */
  readonly lender?: Lender | undefined;
  /** Whether it is known of every runtime that is there what already runs. */
  isSurveyed(): boolean;
  /** Somebody waits, has left, or the last slot of a replica that is to go was given back. */
  onChange(): void;
  /** A warm replica became free of requests, and nobody waits. */
  onIdle(replica: Replica): void;
  /** No connection to the replica could be made. */
  onUnreachable(replica: Replica, why: string): void;
}

/** What the failures of requests are called. */
const FAILURES = {
  unreachable: "no connection to it could be made",
  broken: "it broke off an answer",
  timeout: "it fell silent",
  bad_answer: "it gave no proper answer",
} as const;

export class Slots {
  readonly #deps: SlotsDeps;
  readonly #heat: Heat;
  readonly #ramps: Ramps;
  readonly #ejections: Ejections;
  readonly #lending: Lending | undefined;
  /** Leases given so far. */
  #grants = 0;

  constructor(deps: SlotsDeps) {
    this.#deps = deps;
    this.#heat = new Heat(deps.clock);
    const { lender, roster, demand } = deps;
    this.#lending = lender && new Lending({ lender, roster, demand });
    this.#ramps = new Ramps({ clock: deps.clock, onOpen: (replica) => this.grant(replica.model) });
    this.#ejections = new Ejections({
      clock: deps.clock,
      journal: deps.journal,
      replicasOf: (model) => deps.roster.ofModel(model),
      onOpen: (model) => this.grant(model),
    });
  }

  /** How often a model is asked for lately; see `ReplicaSnapshot.heat`. */
  heat(model: string): number {
    return this.#heat.perMinute(model);
  }

  /** A lease where a replica has room. The hot path: it makes no promise, and waits for nobody. */
  tryAcquire(model: string, request: RequestTraits): ReplicaLease | undefined {
    this.#lending?.holdModel(model);
    const assignment = this.#deps.router.assign(model, request);
    if (assignment !== undefined) this.#heat.note(model, assignment.since);
    const lease = assignment === undefined ? undefined : this.#lease(assignment, request, "warm");
    this.#lending?.reviewModel(model);
    return lease;
  }

  /** A lease as soon as there is one, be it at once. */
  acquire(model: string, request: RequestTraits, signal: AbortSignal): Promise<ReplicaLease> {
    if (signal.aborted) return Promise.reject(reasonOf(signal));
    const lease = this.tryAcquire(model, request);
    if (lease !== undefined) return Promise.resolve(lease);
    this.#heat.note(model, this.#deps.clock.now());
    return this.#wait(model, request, signal);
  }

  #wait(model: string, request: RequestTraits, signal: AbortSignal): Promise<ReplicaLease> {
    const { clock, demand } = this.#deps;
    if (request.mayStart === false && !this.#isComing(model)) return Promise.reject(this.#asleep(model, 1));
    const onLeave = () => this.#left(model);
    const waiting = demand.waiters.add(model, { since: clock.now(), request, signal, onLeave });
    if (demand.waiting(model) > 0) demand.patience.begin(model);
    this.#deps.onChange();
    if (this.#lending === undefined) return waiting;
    // A slot that came back elsewhere after it was looked for, and before that had to be said.
    this.grant(model);
    return waiting;
  }

  /** Whoever left may have been the only one for whom the model would have been started, or is being started. */
  #left(model: string): void {
    const { clock, demand, roster } = this.#deps;
    this.#refuseWithoutRight(model);
    if (demand.waiting(model) === 0) {
      demand.patience.pause(model);
      for (const replica of roster.ofModel(model)) if (replica.isStarting) replica.idleSince = clock.now();
    }
    this.#deps.onChange();
  }

  /** A replica came to another state: what that means for those who wait. */
  moved(replica: Replica, from: ReplicaState): void {
    this.#deps.router.moved(replica, from);
    if (from === "ready") {
      this.#ramps.end(replica);
      this.#ejections.forget(replica);
    }
    if (replica.state === "ready") this.#ramps.begin(replica);
    if (replica.state === "ready" || from === "ready") this.servingChanged(replica);
    this.#refuseWithoutRight(replica.model);
  }

  /** It takes requests from now on, or no more. */
  servingChanged(replica: Replica): void {
    this.#ejections.review(replica.model);
    if (replica.isServing) this.grant(replica.model);
  }

  /** A plan was carried out: whom nothing was started for will not get anything. */
  planned(): void {
    for (const model of this.#deps.demand.waiters.models()) this.#refuseWithoutRight(model);
  }

  /** Nobody waits any more, nor will. */
  close(): void {
    this.#ramps.close();
    this.#ejections.close();
  }

  /** Called by the lease, once. */
  release(replica: Replica, grant: number): void {
    replica.leases -= 1;
    this.#lending?.released(replica);
    this.#ejections.released(replica, grant);
    if (replica.leases === 0) replica.idleSince = this.#deps.clock.now();
    this.freed(replica);
  }

  /** A slot of it came back, be it that another thread had given it out. */
  freed(replica: Replica): void {
    this.grant(replica.model);
    if (replica.inFlight > 0) return;
    if (replica.state === "draining" || !this.#deps.demand.isEmpty) this.#deps.onChange();
    else if (replica.state === "ready") this.#deps.onIdle(replica);
  }

  /** Called by the lease. Who cannot be reached is looked into at once; a broken answer may be the request's own doing. */
  report(replica: Replica, grant: number, { kind, error }: LeaseOutcome): void {
    if (kind === "client_gone") return;
    if (kind === "completed") this.#ejections.succeeded(replica, grant);
    else this.#ejections.failed(replica, grant, FAILURES[kind]);
    this.#lending?.reviewModel(replica.model);
    if (kind === "unreachable") this.#deps.onUnreachable(replica, `not reachable: ${messageOf(error)}`);
  }

  /** Gives those who wait for the model what room there is. */
  grant(model: string): void {
    const { router, demand } = this.#deps;
    // With each release, and next to never does anybody wait: then not even the function is made.
    if (demand.waiters.isEmpty) return;
    const make = ({ since, request }: Applicant) => {
      const assignment = router.assign(model, request);
      if (assignment === undefined) throw new Error(`a replica of ${model} has room, and none takes a request`);
      return this.#lease(assignment, request, (assignment.replica.readyAt ?? 0) > since ? "cold" : "warm");
    };
    while (demand.waiters.count(model) > 0 && router.hasRoom(model)) {
      if (!demand.waiters.grant(model, make)) break;
      demand.patience.end(model, { waiting: demand.waiting(model) });
    }
    this.#lending?.reviewModel(model);
  }

  /** From here on, until the next review, no other thread takes a slot of it; one may have used it since a plan was made. */
  hold(replica: Replica, keepAliveMs: number): { readonly isUsedAgain: boolean } {
    this.#lending?.hold(replica);
    if (replica.lent === undefined) return { isUsedAgain: false };
    return { isUsedAgain: replica.inFlight > 0 || replica.idleSince + keepAliveMs > this.#deps.clock.now() };
  }

  /** Something has changed that may bear on what other threads give out. */
  review(): void {
    this.#lending?.review();
  }

  /** What other threads gave out since the last time. */
  sweep(): void {
    for (const { replica, grants, isIdleAnew } of this.#lending?.news() ?? []) {
      this.#heat.note(replica.model, this.#deps.clock.now(), grants);
      if (isIdleAnew) this.freed(replica);
    }
  }

  #lease(assignment: Assignment, request: RequestTraits, start: "cold" | "warm"): ReplicaLease {
    const { replica } = assignment;
    const address = replica.address;
    if (address === undefined) throw new Error(`replica ${replica.name} is ready but has no address`);
    if (request.keepAliveMs !== undefined && !replica.pinned)
      replica.keepAliveMs = Math.min(request.keepAliveMs, this.#deps.keepAliveMaxMs);
    replica.leases += 1;
    replica.lastGrant = ++this.#grants;
    this.#ejections.granted(replica, replica.lastGrant);
    return new ReplicaLease(this, assignment, address, start === "cold");
  }

  /** They do not wait for what others will not have started either. */
  #refuseWithoutRight(model: string): void {
    const { waiters } = this.#deps.demand;
    const count = this.#isComing(model) ? 0 : waiters.countWithoutRight(model);
    if (count === 0) return;
    waiters.refuseWithoutRight(model, this.#asleep(model, count));
    if (waiters.count(model) === 0) this.#deps.demand.patience.pause(model);
  }

  #asleep(model: string, count: number): AimError {
    const message = `${model} does not run, and this API key may not start it; ask again when it runs`;
    const error = new AimError("model_asleep", message);
    this.#deps.journal.turnedAway(model, error, count);
    return error;
  }

  /** Whether the model is up, or will be for somebody, or may be: it may run without our knowing it yet. */
  #isComing(model: string): boolean {
    const { demand, roster } = this.#deps;
    return demand.waiters.mayStart(model) || roster.ofModel(model).some(isUp) || !this.#deps.isSurveyed();
  }
}

/** One that does not answer just now counts: it will again, or be replaced. */
function isUp({ isStarting, state }: Replica): boolean {
  return isStarting || state === "waking" || state === "ready";
}
