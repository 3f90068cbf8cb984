// A replica that serves, as balancing sees it, and the requests that it was given.
import type { Clock } from "../../lib/clock.ts";
import type { SharedQueue } from "../fleet/lent.ts";
import type { Replica } from "../replica.ts";
import { Backlog, type Unread } from "./backlog.ts";
import type { Candidate } from "./balancer.ts";
import { PrefillRate, type ModelRate } from "./rates.ts";

/** What balancing reads of a replica. */
export interface Served extends Pick<Replica, "hasRoom" | "isStale" | "inFlight" | "lastGrant"> {
  /** What several threads send it, each a part; absent: all that it is sent is known here. */
  readonly queue?: SharedQueue | undefined;
}

/** Of an engine that has not said it: a mid-sized model on one large card. Too much does less harm than too little. */
const USUAL_CACHE_TOKENS = 524_288;

export class Seat<R extends Served = Replica> implements Candidate {
  readonly replica: R;
  /** Its place in the prefix index of its model; -1: that has no place for it. */
  readonly slot: number;
  readonly backlog: Backlog;
  /** What its cache holds, as far as that is known. */
  cacheTokens = USUAL_CACHE_TOKENS;
  readonly #rate: PrefillRate;
  // As of the last `refresh`: looked up once a decision, however often it is asked for.
  hasRoom = false;
  isStale = false;
  inFlight = 0;
  lastGrant = 0;
  queuedPrompts = 0;
  queuedTokens = 0;
  rate = 1;

  constructor(replica: R, slot: number, model: ModelRate) {
    this.replica = replica;
    this.slot = slot;
    this.#rate = new PrefillRate(model);
    this.backlog = new Backlog(this.#rate);
  }

  /** Says whether it has room. */
  refresh(now: number): boolean {
    const { hasRoom, isStale, inFlight, lastGrant } = this.replica;
    this.hasRoom = hasRoom;
    this.isStale = isStale;
    this.inFlight = inFlight;
    this.lastGrant = lastGrant;
    this.queuedTokens = this.backlog.tokensLeft(now);
    this.queuedPrompts = this.backlog.prompts;
    if (this.replica.queue !== undefined) this.#addOthers(this.replica.queue);
    this.rate = this.#rate.perSecond;
    return hasRoom;
  }

  #addOthers({ others }: SharedQueue): void {
    this.queuedTokens += others.tokens;
    this.queuedPrompts += others.prompts;
  }

  /** Its queue is another than before. */
  queueChanged(): void {
    this.replica.queue?.tell(this.backlog);
  }
}

/** A request on the replica that it was given to. */
export class Assignment<R extends Served = Replica> {
  readonly #seat: Seat<R>;
  readonly #prompt: Unread;
  readonly #clock: Pick<Clock, "now">;

  /** From here on its prompt is in the backlog of the replica. */
  constructor(seat: Seat<R>, prompt: Unread, clock: Pick<Clock, "now">) {
    this.#seat = seat;
    this.#prompt = prompt;
    this.#clock = clock;
    seat.backlog.add(prompt);
    seat.queueChanged();
  }

  get replica(): R {
    return this.#seat.replica;
  }

  /** When it was given out. */
  get since(): number {
    return this.#prompt.since;
  }

  /** Its answer begins, so its prompt is read. Idempotent. */
  begun(): void {
    this.#seat.backlog.read(this.#prompt, this.#clock.now());
    this.#seat.queueChanged();
  }

  /** It is over, be it that an answer began or not. Idempotent. */
  ended(): void {
    const { backlog } = this.#seat;
    if (!backlog.has(this.#prompt)) return;
    backlog.drop(this.#prompt, this.#clock.now());
    this.#seat.queueChanged();
  }
}
