// The slots on replicas: who gets one, and what a slot given back means for those who wait. A part of the fleet: synchronous,
// and on the hot path.
import type { Clock } from "../../lib/clock.ts";
import { pick } from "./balance.ts";
import type { DemandBook } from "./demand.ts";
import { ReplicaLease, type RequestTraits } from "./lease.ts";
import type { Replica } from "../replica.ts";
import type { Roster } from "./roster.ts";

export interface SlotsDeps {
  readonly clock: Clock;
  readonly roster: Roster;
  readonly demand: DemandBook;
  /** Somebody waits, has left, or the last slot of a replica that is to go was given back. */
  onChange(): void;
  /** A warm replica became free of requests, and nobody waits. */
  onIdle(replica: Replica): void;
  /** No connection to the replica could be made. */
  onUnreachable(replica: Replica, why: string): void;
}

export class Slots {
  readonly #deps: SlotsDeps;

  constructor(deps: SlotsDeps) {
    this.#deps = deps;
  }

  /** How much a model was used lately; see `ReplicaSnapshot.heat`. */
  heat(_model: string): number {
    return 0;
  }

  /** A lease at once where a replica has room, else a promise of one; the hot path never allocates a promise. */
  acquire(model: string, request: RequestTraits, signal: AbortSignal): ReplicaLease | Promise<ReplicaLease> {
    const { clock, roster, demand } = this.#deps;
    const replica = pick(roster.ofModel(model));
    if (replica !== undefined) return this.#lease(replica, "warm");
    const onLeave = () => this.#deps.onChange();
    const waiting = demand.waiters.add(model, { since: clock.now(), bytes: request.bodyBytes, signal, onLeave });
    this.#deps.onChange();
    return waiting;
  }

  /** Called by the lease, once. */
  release(replica: Replica): void {
    const { clock, demand } = this.#deps;
    replica.inFlight -= 1;
    if (replica.inFlight === 0) replica.idleSince = clock.now();
    this.grant(replica.model);
    if (replica.inFlight > 0) return;
    if (replica.state === "draining" || !demand.isEmpty) this.#deps.onChange();
    else if (replica.state === "ready") this.#deps.onIdle(replica);
  }

  /** Called by the lease. */
  suspect(replica: Replica, why: string): void {
    this.#deps.onUnreachable(replica, why);
  }

  /** Gives those who wait for the model what room there is. */
  grant(model: string): void {
    const { roster, demand } = this.#deps;
    if (demand.waiters.count(model) === 0) return;
    for (;;) {
      const replica = pick(roster.ofModel(model));
      if (replica === undefined) return;
      const readyAt = replica.readyAt ?? 0;
      const make = (since: number) => this.#lease(replica, readyAt > since ? "cold" : "warm");
      if (!demand.waiters.grant(model, make)) return;
    }
  }

  #lease(replica: Replica, start: "cold" | "warm"): ReplicaLease {
    const address = replica.address;
    if (address === undefined) throw new Error(`replica ${replica.name} is ready but has no address`);
    replica.inFlight += 1;
    replica.granted += 1;
    return new ReplicaLease(this, replica, address, start === "cold");
  }
}
