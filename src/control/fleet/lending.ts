// Slots that are lent to other threads: where a replica serves and nothing speaks against it, they give out its slots by
// themselves, within the limit that stands here for them. Whatever is out of the ordinary closes a replica to them, and their
// requests for it come to the fleet. A part of the fleet: synchronous.
//
//   lent     while it is ready or draining, with a limit: how many requests all threads together may have on it, or why none
//   ended    nobody takes its slots any more; what is in flight there still counts
import type { Replica } from "../replica.ts";
import { CLOSED, type Lent } from "./lent.ts";
import type { Roster } from "./roster.ts";

/** Of replicas without a limit: as good as none, and with room for one more of each thread. */
const MOST = 2 ** 30;

/** Where other threads borrow. */
export interface Lender {
  /** Undefined where there is no place for one more: its requests all come to the fleet. */
  lend(replica: Replica): Lent | undefined;
  /** Nobody is to take its slots any more. */
  end(lent: Lent): void;
  /** Whether to say of every replica when it became free of requests, and not of those that are closed only. */
  heed(isHeeded: boolean): void;
}

export interface LendingDeps {
  readonly lender: Lender;
  readonly roster: Pick<Roster, "all" | "ofModel">;
  readonly demand: { readonly isEmpty: boolean; waiting(model: string): number };
}

export class Lending {
  readonly #deps: LendingDeps;
  readonly #lent = new Map<Replica, Lent>();
  /** Grants of each that were seen, and when it was last in use. */
  readonly #seen = new WeakMap<Lent, { readonly grants: number; readonly usedAt: number }>();

  constructor(deps: LendingDeps) {
    this.#deps = deps;
  }

  /** Something has changed that limits may depend on. */
  review(): void {
    const { lender, roster, demand } = this.#deps;
    lender.heed(!demand.isEmpty);
    for (const [replica, lent] of this.#lent) if (!isLendable(replica)) this.#end(replica, lent);
    for (const replica of roster.all()) this.#lend(replica);
  }

  /** The same, of one model: on the way of each request that others could not serve by themselves. */
  reviewModel(model: string): void {
    for (const replica of this.#deps.roster.ofModel(model)) this.#lend(replica);
  }

  /** Until the next review nobody else takes a slot of its replicas, where those are counted. */
  holdModel(model: string): void {
    for (const replica of this.#deps.roster.ofModel(model)) if (this.#limitOf(replica) !== MOST) this.hold(replica);
  }

  /** Until the next review nobody else takes a slot of it: what is counted now does not grow. */
  hold(replica: Replica): void {
    this.#lent.get(replica)?.limit(CLOSED.shut);
  }

  /** A lease of the fleet's own on it has ended. */
  released(replica: Replica): void {
    this.#lent.get(replica)?.owns(replica.leases);
  }

  /** What others gave out since the last look, by replica, and whether it is free of requests since. */
  news(): readonly { readonly replica: Replica; readonly grants: number; readonly isIdleAnew: boolean }[] {
    return [...this.#lent].flatMap(([replica, lent]) => {
      const { grants, usedAt } = lent;
      const seen = this.#seen.get(lent) ?? { grants: 0, usedAt: -Infinity };
      if (usedAt === seen.usedAt && grants === seen.grants) return [];
      const isIdleAnew = replica.inFlight === 0;
      // One that is in use is looked at again when it is not.
      this.#seen.set(lent, { grants, usedAt: isIdleAnew ? usedAt : seen.usedAt });
      return [{ replica, grants: grants - seen.grants, isIdleAnew }];
    });
  }

  #lend(replica: Replica): void {
    if (!isLendable(replica)) return;
    const lent = this.#lent.get(replica) ?? this.#begin(replica);
    if (lent === undefined) return;
    lent.owns(replica.leases);
    lent.limit(this.#limitOf(replica));
  }

  #begin(replica: Replica): Lent | undefined {
    const lent = this.#deps.lender.lend(replica);
    if (lent === undefined) return undefined;
    replica.lent = lent;
    this.#lent.set(replica, lent);
    return lent;
  }

  #end(replica: Replica, lent: Lent): void {
    lent.limit(CLOSED.away);
    this.#lent.delete(replica);
    this.#deps.lender.end(lent);
  }

  #limitOf(replica: Replica): number {
    if (!replica.isServing) return CLOSED.away;
    // Nobody overtakes those who wait; and one that is to go gets what has no other place.
    if (this.#deps.demand.waiting(replica.model) > 0 || replica.isStale || replica.isLeftOut) return CLOSED.shut;
    if (replica.ejection !== undefined) return CLOSED.onTrial;
    return Math.min(MOST, replica.rampLimit, replica.recipe?.maxInFlight ?? MOST);
  }
}

/** One that drains still has what it was given. */
function isLendable({ state, address }: Replica): boolean {
  return (state === "ready" || state === "draining") && address !== undefined;
}
