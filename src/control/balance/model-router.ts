// Where the requests of one model go: its replicas that serve, what each was sent, and the one policy that chooses.
import { LRUCache } from "lru-cache";
import type { BalanceName } from "../../catalog/recipe.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Replica } from "../replica.ts";
import type { Prompt, PromptDigest, RequestTraits } from "../fleet/lease.ts";
import type { Backlog } from "./backlog.ts";
import { leastInFlight, predictedTtft, roundRobin, session, type Balancer } from "./balancer.ts";
import { MOST_SLOTS, PrefixIndex } from "./prefix-index.ts";
import { BLOCK_TOKENS, hashBlocks, MOST_BLOCKS, promptTokens, seedOf } from "./prompt-blocks.ts";
import { ModelRate } from "./rates.ts";
import { Assignment, Seat, type Served } from "./seat.ts";

/** What balancing has to know of a request. */
export type RoutedRequest = Pick<RequestTraits, "prompt" | "session" | "stream">;

interface Policy {
  readonly balance: Balancer;
  /** Whether it asks where a prompt is cached. */
  readonly looksAtPrompts: boolean;
}

const POLICIES: Readonly<Record<BalanceName, Policy>> = {
  "predicted-ttft": { balance: predictedTtft, looksAtPrompts: true },
  "least-in-flight": { balance: leastInFlight, looksAtPrompts: false },
  session: { balance: session, looksAtPrompts: true },
  "round-robin": { balance: roundRobin, looksAtPrompts: false },
};

/** Sessions of a model that are remembered. */
const MOST_SESSIONS = 10_000;

/** Reused by every decision, since each is made in one go. */
const blocks = new Uint32Array(MOST_BLOCKS);
const matched = new Uint32Array(MOST_SLOTS);

export class ModelRouter<R extends Served = Replica> {
  readonly #clock: Pick<Clock, "now">;
  readonly #seed: number;
  readonly #rate = new ModelRate();
  readonly #seats: Seat<R>[] = [];
  /** Tokens of a prompt that each should have cached, in the order of the seats. */
  readonly #cached: number[] = [];
  #policy = POLICIES["predicted-ttft"];
  /** From the second replica on: until then there is nothing to choose. */
  #index: PrefixIndex | undefined;
  /** By hash of the session; two that share one share a replica, and nothing else. */
  #sessions: LRUCache<number, Seat<R>> | undefined;
  /** Of the prompts that were given out, all and those that should have been cached. */
  readonly sent = { tokens: 0, cachedTokens: 0 };

  constructor(model: string, clock: Pick<Clock, "now">) {
    this.#clock = clock;
    this.#seed = seedOf(model);
  }

  get hasRoom(): boolean {
    return this.#seats.some(({ replica }) => replica.hasRoom);
  }

  /** It takes requests from here on, with nothing in its cache. */
  join(replica: R, balance: BalanceName): void {
    const seat = new Seat(replica, this.#freeSlot(), this.#rate);
    this.#seats.push(seat);
    this.#policy = POLICIES[balance];
    if (this.#index !== undefined) this.#fit(seat);
    else if (this.#seats.length > 1 && this.#policy.looksAtPrompts) {
      this.#index = new PrefixIndex();
      for (const one of this.#seats) this.#fit(one);
    }
  }

  /** It takes no more, and what it had in its cache is lost. */
  leave(replica: R): void {
    const at = this.#seats.findIndex((seat) => seat.replica === replica);
    const [seat] = at === -1 ? [] : this.#seats.splice(at, 1);
    if (seat !== undefined && seat.slot >= 0) this.#index?.forget(seat.slot);
    if (this.#seats.length > 0) return;
    this.#index = undefined;
    this.#sessions = undefined;
  }

  /** Its engine said how many tokens its cache holds. */
  cacheHolds(replica: R, tokens: number): void {
    const seat = this.#seatOf(replica);
    if (seat === undefined || seat.cacheTokens === tokens) return;
    seat.cacheTokens = tokens;
    this.#fit(seat);
  }

  queueOf(replica: R): Backlog | undefined {
    return this.#seatOf(replica)?.backlog;
  }

  /** Gives the request to a replica; undefined where none has room. */
  assign(request: RoutedRequest): Assignment<R> | undefined {
    const now = this.#clock.now();
    if (!this.#refresh(now)) return undefined;
    const tokens = request.prompt === undefined ? 0 : promptTokens(request.prompt);
    const count = this.#lookUp(request.prompt, tokens);
    const ask = { tokens, cachedTokens: this.#cached, sessionAt: this.#sessionAt(request.session) };
    const at = this.#policy.balance(this.#seats, ask);
    const seat = this.#seats[at];
    if (seat === undefined) return undefined;
    if (count > 0 && seat.slot >= 0) this.#index?.record(seat.slot, blocks, count);
    this.#remember(request.session, seat);
    const cachedTokens = this.#cached[at] ?? 0;
    this.sent.tokens += tokens;
    this.sent.cachedTokens += cachedTokens;
    const silent = request.stream === false;
    const prompt = { tokens: tokens - cachedTokens, since: now, silent, older: undefined, newer: undefined };
    return new Assignment(seat, prompt, this.#clock);
  }

  /** Whether anybody has room. */
  #refresh(now: number): boolean {
    let hasRoom = false;
    for (const seat of this.#seats) hasRoom = seat.refresh(now) || hasRoom;
    return hasRoom;
  }

  /** Finds out who has how much of the prompt cached; says how many blocks it has. Nothing is hashed where there is no choice. */
  #lookUp(prompt: Prompt | PromptDigest | undefined, tokens: number): number {
    this.#cached.length = 0;
    if (prompt === undefined || this.#index === undefined) return 0;
    if (this.#seats.length < 2 || !this.#policy.looksAtPrompts) return 0;
    const count = this.#hash(prompt);
    if (count === 0) return 0;
    this.#index.match(blocks, count, matched);
    for (const { slot } of this.#seats) this.#cached.push(Math.min(tokens, (matched[slot] ?? 0) * BLOCK_TOKENS));
    return count;
  }

  #hash(prompt: Prompt | PromptDigest): number {
    if (!("blocks" in prompt)) return hashBlocks(prompt, this.#seed, blocks);
    blocks.set(prompt.blocks);
    return prompt.blocks.length;
  }

  #sessionAt(name: string | undefined): number {
    const seat = name === undefined ? undefined : this.#sessions?.get(seedOf(name));
    return seat === undefined ? -1 : this.#seats.indexOf(seat);
  }

  #remember(name: string | undefined, seat: Seat<R>): void {
    if (name === undefined || this.#policy !== POLICIES.session) return;
    this.#sessions ??= new LRUCache({ max: MOST_SESSIONS });
    this.#sessions.set(seedOf(name), seat);
  }

  #seatOf(replica: R): Seat<R> | undefined {
    return this.#seats.find((seat) => seat.replica === replica);
  }

  #fit({ slot, cacheTokens }: Seat<R>): void {
    if (slot >= 0) this.#index?.setCapacity(slot, Math.floor(cacheTokens / BLOCK_TOKENS));
  }

  #freeSlot(): number {
    for (let slot = 0; slot < MOST_SLOTS; slot++) if (!this.#seats.some((seat) => seat.slot === slot)) return slot;
    return -1;
  }
}
