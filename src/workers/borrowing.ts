// The worker's side of what is lent: which replicas it may use, and slots on them without asking anybody.
import { ModelRouter } from "../control/balance/model-router.ts";
import type { Assignment, Served } from "../control/balance/seat.ts";
import { CLOSED, type SharedQueue } from "../control/fleet/lent.ts";
import type { Lease, Outcome, RequestHints } from "../gateway/pool.ts";
import type { Clock } from "../lib/clock.ts";
import { addressOf } from "./address.ts";
import { type LentReplica, type Report, sentOutcome } from "./messages.ts";
import type { Echo, Tally } from "./tally.ts";

export interface BorrowingDeps {
  readonly clock: Clock;
  readonly tally: Tally;
  /** The number of this thread. */
  readonly thread: number;
  tell(report: Report): void;
}

/** Others may be quicker at the replica that was chosen; whoever is late so often asks the main thread. */
const MOST_TRIES = 3;
const TRIAL = { sign: CLOSED.onTrial, closed: CLOSED.shut };

export class Borrowing {
  readonly #deps: BorrowingDeps;
  readonly #routers = new Map<string, ModelRouter<Borrowed>>();
  readonly #byPlace = new Map<number, Borrowed>();

  constructor(deps: BorrowingDeps) {
    this.#deps = deps;
  }

  lent(told: LentReplica): void {
    const replica = new Borrowed(told, this.#deps);
    this.#byPlace.set(told.place, replica);
    this.#routerOf(told.model).join(replica, told.balance);
  }

  takenBack({ place, turn }: Pick<LentReplica, "place" | "turn">): void {
    const replica = this.#byPlace.get(place);
    if (replica?.told.turn === turn) {
      this.#routers.get(replica.told.model)?.leave(replica);
      this.#byPlace.delete(place);
    }
    this.#deps.tell({ kind: "forgot", place, turn });
  }

  cacheHolds({ place, turn }: Pick<LentReplica, "place" | "turn">, tokens: number): void {
    const replica = this.#byPlace.get(place);
    if (replica?.told.turn === turn) this.#routers.get(replica.told.model)?.cacheHolds(replica, tokens);
  }

  /** Undefined: the main thread has to see to it. */
  take(model: string, hints: RequestHints): Lease | undefined {
    const router = this.#routers.get(model);
    // How long its replica is kept is the fleet's to know; and one that is on trial is tried with a request of ours.
    if (router === undefined || hints.keepAliveMs !== undefined || this.#isTrial(model)) return undefined;
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const assignment = router.assign(hints);
      if (assignment === undefined) return undefined;
      if (assignment.replica.take()) return new BorrowedLease(assignment, this.#deps);
      assignment.ended();
    }
    return undefined;
  }

  /** Whether a replica of the model takes requests. */
  isServed(model: string): boolean {
    return [...this.#byPlace.values()].some(({ told, isServing }) => told.model === model && isServing);
  }

  /** Tokens of the prompts that were given out here, by model. */
  routed(): readonly { readonly model: string; readonly tokens: number; readonly cachedTokens: number }[] {
    return [...this.#routers].map(([model, { sent }]) => ({ model, ...sent }));
  }

  #isTrial(model: string): boolean {
    for (const { told } of this.#byPlace.values())
      if (told.model === model && this.#deps.tally.claim(told.place, TRIAL)) return true;
    return false;
  }

  #routerOf(model: string): ModelRouter<Borrowed> {
    const known = this.#routers.get(model);
    if (known !== undefined) return known;
    const router = new ModelRouter<Borrowed>(model, this.#deps.clock);
    this.#routers.set(model, router);
    return router;
  }
}

/** A replica as balancing sees it. */
class Borrowed implements Served {
  readonly told: LentReplica;
  readonly address: URL;
  readonly queue: SharedQueue;
  readonly isStale = false;
  readonly #deps: BorrowingDeps;

  constructor(told: LentReplica, deps: BorrowingDeps) {
    this.told = told;
    this.address = addressOf(told.address);
    this.queue = deps.tally.queue(told.place, deps.thread);
    this.#deps = deps;
  }

  get inFlight(): number {
    return this.#deps.tally.total(this.told.place);
  }

  get hasRoom(): boolean {
    const { tally } = this.#deps;
    return tally.total(this.told.place) < tally.limit(this.told.place);
  }

  get isServing(): boolean {
    return this.#deps.tally.limit(this.told.place) !== CLOSED.away;
  }

  /** When anybody used it last does as well. */
  get lastGrant(): number {
    return this.#deps.tally.usedAt(this.told.place);
  }

  /** Whether a slot of it is ours now. */
  take(): boolean {
    const { tally, thread, clock } = this.#deps;
    const taken = tally.take(this.told.place, thread, clock.now());
    if (taken !== "taken") this.#echo(taken);
    return taken === "taken";
  }

  giveBack(): void {
    const { tally, thread, clock } = this.#deps;
    this.#echo(tally.giveBack(this.told.place, thread, clock.now()));
  }

  #echo(echo: Echo): void {
    const { place, turn } = this.told;
    if (echo === "heard") this.#deps.tell({ kind: "freed", place, turn });
  }
}

class BorrowedLease implements Lease {
  readonly replica: string;
  readonly address: URL;
  readonly coldStart = false;
  readonly #assignment: Assignment<Borrowed>;
  readonly #deps: BorrowingDeps;
  #open = true;

  constructor(assignment: Assignment<Borrowed>, deps: BorrowingDeps) {
    this.replica = assignment.replica.told.name;
    this.address = assignment.replica.address;
    this.#assignment = assignment;
    this.#deps = deps;
  }

  firstByte(): void {
    if (this.#open) this.#assignment.begun();
  }

  /** Success is no news: nothing is held against a replica that is lent. */
  report(outcome: Outcome): void {
    if (!this.#open || outcome.kind === "completed" || outcome.kind === "client_gone") return;
    const { place, turn } = this.#assignment.replica.told;
    // At once: the next try comes before the fleet has heard of it, and who serves nobody looks best.
    if (outcome.kind === "unreachable") this.#deps.tally.shut(place);
    this.#deps.tell({ kind: "failed", place, turn, outcome: sentOutcome(outcome) });
  }

  release(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#assignment.ended();
    this.#assignment.replica.giveBack();
  }
}
