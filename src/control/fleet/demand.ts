// Who wants a replica and has none yet: requests that wait and launch orders, as one list for the planner.
import type { AimError } from "../../errors.ts";
import type { Clock } from "../../lib/clock.ts";
import type { ReplicaLease } from "./lease.ts";
import { Orders } from "./orders.ts";
import type { Demand } from "../snapshot.ts";
import { Waiters, type WaiterLimits } from "./waiters.ts";

/** The book for those who may only look. */
export type DemandView = Pick<DemandBook, "holdReason" | "isEmpty" | "waiting">;

export class DemandBook {
  readonly waiters: Waiters<ReplicaLease>;
  readonly orders: Orders;
  /** Why demand that cannot be met now has to wait, by demand id, from the last plan. */
  #holds: ReadonlyMap<string, string> = new Map();

  constructor(limits: WaiterLimits, clock: Clock) {
    this.waiters = new Waiters(limits);
    this.orders = new Orders(clock);
  }

  get isEmpty(): boolean {
    return this.waiters.isEmpty && this.orders.isEmpty;
  }

  /** Oldest first. */
  list(): readonly Demand[] {
    const requests = this.waiters.models().map((model) => ({
      id: requestsId(model),
      kind: "requests" as const,
      request: { model },
      since: this.waiters.oldest(model) ?? 0,
      waiting: this.waiters.count(model),
    }));
    return [...requests, ...this.orders.demands()].sort((a, b) => a.since - b.since);
  }

  /** How many requests wait for the model. */
  waiting(model: string): number {
    return this.waiters.count(model);
  }

  hold(holds: ReadonlyMap<string, string>): void {
    this.#holds = holds;
  }

  /** What the requests for this model wait for although nothing is starting for them. */
  holdReason(model: string): string | undefined {
    return this.#holds.get(requestsId(model));
  }

  refuseAll(error: AimError): void {
    for (const model of this.waiters.models()) this.waiters.refuse(model, error);
    this.orders.refuseAll(error);
  }
}

function requestsId(model: string): string {
  return `requests:${model}`;
}
