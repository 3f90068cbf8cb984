// Who wants a replica and has none yet: requests that wait and launch orders, as one list for the planner.
import type { AimError } from "../../errors.ts";
import type { FleetDeps, FleetSettings } from "./fleet-deps.ts";
import type { Journal } from "../journal.ts";
import type { ReplicaLease } from "./lease.ts";
import { Orders } from "./orders.ts";
import { Patience } from "./patience.ts";
import type { Demand } from "../snapshot.ts";
import type { Hold } from "../planner/why.ts";
import { Waiters, type Crowd } from "./waiters.ts";

/** The book for those who may only look. */
export type DemandView = Pick<DemandBook, "holdOf" | "isEmpty" | "waiting" | "waitingSince">;

export interface DemandDeps extends Pick<FleetDeps, "clock" | "retryAfterMs"> {
  readonly settings: Pick<FleetSettings, "waiters">;
  readonly journal: Pick<Journal, "turnedAway">;
}

export class DemandBook {
  readonly waiters: Waiters<ReplicaLease>;
  readonly orders: Orders;
  readonly patience: Patience;
  /** Why demand that cannot be met now has to wait, by demand id, from the last plan. */
  #holds: ReadonlyMap<string, Hold> = new Map();

  constructor(deps: DemandDeps) {
    this.waiters = new Waiters(deps.settings.waiters, {
      retryAfterMs: (model) => deps.retryAfterMs(model),
      onFull: (model, error) => deps.journal.turnedAway(model, error),
    });
    this.orders = new Orders(deps.clock);
    this.patience = new Patience(deps.clock);
  }

  get isEmpty(): boolean {
    return this.waiters.isEmpty && this.orders.isEmpty;
  }

  /** By rank, the lowest first. */
  list(): readonly Demand[] {
    const requests = this.waiters.crowds().map((crowd) => demandOf(crowd, this.patience.since(crowd.model)));
    return [...requests, ...this.orders.demands()].sort((a, b) => a.rank - b.rank);
  }

  /** How many requests wait for the model. */
  waiting(model: string): number {
    return this.waiters.count(model);
  }

  /** Since when the one waits for the model who has waited longest; undefined when nobody does. */
  waitingSince(model: string): number | undefined {
    return this.waiters.oldest(model);
  }

  hold(holds: ReadonlyMap<string, Hold>): void {
    this.#holds = holds;
  }

  /** What the requests for this model wait for although nothing is starting for them. */
  holdOf(model: string): Hold | undefined {
    return this.#holds.get(requestsId(model));
  }

  /** Every request for the model gets the error. */
  refuse(model: string, error: AimError): void {
    this.waiters.refuse(model, error);
    this.patience.end(model, { waiting: 0 });
  }

  refuseAll(error: AimError): void {
    for (const model of this.waiters.models()) this.refuse(model, error);
    this.orders.refuseAll(error);
  }
}

/** As urgent as if whoever is the first had waited since then. */
function demandOf({ model, since: ownSince, rank: ownRank, ...crowd }: Crowd, vainSince: number): Demand {
  const since = Math.min(ownSince, vainSince);
  const rank = ownRank - (ownSince - since);
  return { id: requestsId(model), kind: "requests", why: "requests", request: { model }, since, rank, ...crowd };
}

function requestsId(model: string): string {
  return `requests:${model}`;
}
