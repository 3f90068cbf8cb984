// The main thread's side of what is lent: gives replicas their places in the tally, tells the workers where they are, and takes
// a place back when all of them have said that they forgot it and nothing is in flight there.
import type { BalanceName } from "../catalog/recipe.ts";
import type { Lender } from "../control/fleet/lending.ts";
import type { Lent, SharedQueue } from "../control/fleet/lent.ts";
import type { Replica } from "../control/replica.ts";
import type { LentReplica, Order } from "./messages.ts";
import { PLACES, type Tally } from "./tally.ts";

interface Place {
  readonly replica: Replica;
  readonly told: LentReplica;
  /** What its engine's cache holds, where that is known. */
  cacheTokens: number | undefined;
  readonly lent: LentPlace;
  /** Workers that may still use it, once it is taken back; undefined before. */
  leaving: Set<number> | undefined;
}

export class TallyLender implements Lender {
  readonly #tally: Tally;
  readonly #balance: BalanceName;
  readonly #places: (Place | undefined)[] = [];
  readonly #workers = new Map<number, (order: Order) => void>();
  #turns = 0;

  /** `balance`: of recipes that name none. */
  constructor(tally: Tally, balance: BalanceName) {
    this.#tally = tally;
    this.#balance = balance;
  }

  lend(replica: Replica): Lent | undefined {
    const place = this.#freePlace();
    const { address, name, model, recipe } = replica;
    if (place === -1 || address === undefined) return undefined;
    const balance = recipe?.balance ?? this.#balance;
    const told = { place, turn: ++this.#turns, name, model, address: address.href, balance };
    this.#tally.clear(place);
    const lent = new LentPlace(this.#tally, place);
    this.#places[place] = { replica, told, lent, cacheTokens: undefined, leaving: undefined };
    this.#tellAll({ kind: "lent", replica: told });
    return lent;
  }

  end(lent: Lent): void {
    const place = lent instanceof LentPlace ? lent.place : -1;
    const held = this.#places[place];
    if (held === undefined) return;
    held.leaving = new Set(this.#workers.keys());
    this.#tellAll({ kind: "taken back", place, turn: held.told.turn });
    this.#settle(place);
  }

  heed(isHeeded: boolean): void {
    this.#tally.heed(isHeeded);
  }

  /** Its engine said how many tokens its cache holds. */
  cacheHolds(replica: Replica, tokens: number): void {
    const held = this.#places.find((one) => one?.replica === replica && one.leaving === undefined);
    if (held === undefined || held.cacheTokens === tokens) return;
    held.cacheTokens = tokens;
    this.#tellAll(cacheOf(held, tokens));
  }

  /** A worker is there: it hears of all that is lent. */
  join(worker: number, tell: (order: Order) => void): void {
    this.#workers.set(worker, tell);
    for (const held of this.#places) {
      if (held === undefined || held.leaving !== undefined) continue;
      tell({ kind: "lent", replica: held.told });
      if (held.cacheTokens !== undefined) tell(cacheOf(held, held.cacheTokens));
    }
  }

  /** A worker is gone, and with it all that it had. Says on which replicas that was. */
  leave(worker: number): readonly Replica[] {
    this.#workers.delete(worker);
    const had = this.#tally.bury(worker);
    for (const [place, held] of this.#places.entries()) {
      held?.leaving?.delete(worker);
      this.#settle(place);
    }
    return had.flatMap((place) => this.#places[place]?.replica ?? []);
  }

  /** A worker will not use the place any more. */
  forgot(worker: number, { place, turn }: { readonly place: number; readonly turn: number }): void {
    const held = this.#places[place];
    if (held?.told.turn === turn) held.leaving?.delete(worker);
    this.#settle(place);
  }

  /** The replica that a worker means. */
  replicaAt({ place, turn }: { readonly place: number; readonly turn: number }): Replica | undefined {
    const held = this.#places[place];
    return held?.told.turn === turn ? held.replica : undefined;
  }

  #tellAll(order: Order): void {
    for (const tell of this.#workers.values()) tell(order);
  }

  #settle(place: number): void {
    const held = this.#places[place];
    if (held?.leaving?.size !== 0 || this.#tally.ofWorkers(place) > 0) return;
    held.lent.leave();
    this.#places[place] = undefined;
  }

  #freePlace(): number {
    for (let place = 0; place < PLACES; place++) {
      this.#settle(place);
      if (this.#places[place] === undefined) return place;
    }
    return -1;
  }
}

function cacheOf({ told: { place, turn } }: Place, tokens: number): Order {
  return { kind: "cache", place, turn, tokens };
}

const NOTHING_QUEUED: SharedQueue = { others: { prompts: 0, tokens: 0 }, tell() {} };

class LentPlace implements Lent {
  readonly place: number;
  readonly #tally: Tally;
  readonly #queue: SharedQueue;
  /** When it was used last, as of when the place was left. */
  #usedBefore: number | undefined;

  constructor(tally: Tally, place: number) {
    this.place = place;
    this.#tally = tally;
    this.#queue = tally.queue(place, 0);
  }

  get inFlight(): number {
    return this.#isLeft ? 0 : this.#tally.ofWorkers(this.place);
  }

  get usedAt(): number {
    return this.#usedBefore ?? (this.#tally.usedAt(this.place) || -Infinity);
  }

  get grants(): number {
    return this.#isLeft ? 0 : this.#tally.grants(this.place);
  }

  get queue(): SharedQueue {
    return this.#isLeft ? NOTHING_QUEUED : this.#queue;
  }

  owns(leases: number): void {
    if (!this.#isLeft) this.#tally.setOwn(this.place, leases);
  }

  limit(limit: number): void {
    if (!this.#isLeft) this.#tally.setLimit(this.place, limit);
  }

  /** The place goes to another replica: what is counted there from here on is that one's. */
  leave(): void {
    this.#usedBefore = this.usedAt;
  }

  get #isLeft(): boolean {
    return this.#usedBefore !== undefined;
  }
}
