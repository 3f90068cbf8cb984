// Who has how many requests on which replica, in memory that all threads share. Replicas have a place each; a place has a limit,
// which the main thread alone raises, and a count for each thread, which that thread alone raises.
//
//   take       raise the own count, then add up all: over the limit, lower it again. Of two who come at once, each sees what
//              the other has taken before he looks, so that together they never go over it
//   close      set the limit to 0 or less: whoever takes from here on goes back, so that what is counted now only falls
//   a death    the thread's counts are set to 0
//
// Counts and limits go through Atomics. The rest (times, queues, totals) is written by one thread each and read by others as
// it comes: to balance by, and to see when a replica was used last.
import { CLOSED, type SharedQueue } from "../control/fleet/lent.ts";

/** Replicas that can be lent at a time. */
export const PLACES = 256;

/** The rest, by place and thread. */
const FIELDS = { usedAt: 0, grants: 1, prompts: 2, tokens: 3 } as const;
const WIDTH = Object.keys(FIELDS).length;

/** What goes from thread to thread. */
export interface TallyMemory {
  readonly threads: number;
  readonly counts: SharedArrayBuffer;
  readonly figures: SharedArrayBuffer;
}

/** For the main thread, which is number 0, and so many others. */
export function tallyMemory(workers: number): TallyMemory {
  const threads = workers + 1;
  return {
    threads,
    counts: new SharedArrayBuffer((PLACES * (threads + 1) + 1) * Int32Array.BYTES_PER_ELEMENT),
    figures: new SharedArrayBuffer(PLACES * threads * WIDTH * Float64Array.BYTES_PER_ELEMENT),
  };
}

/** Whether the main thread is to be told that a slot came back. */
export type Echo = "unheard" | "heard";

export class Tally {
  readonly #threads: number;
  /** For each place its limit, then a count for each thread; at the end whether somebody waits. */
  readonly #counts: Int32Array;
  readonly #figures: Float64Array;

  constructor({ threads, counts, figures }: TallyMemory) {
    this.#threads = threads;
    this.#counts = new Int32Array(counts);
    this.#figures = new Float64Array(figures);
  }

  /** Whether the thread has a slot there now. The main thread does not ask: it closes a place before it counts. */
  take(place: number, thread: number, now: number): "taken" | Echo {
    if (this.limit(place) <= 0) return "unheard";
    Atomics.add(this.#counts, this.#at(place, thread), 1);
    if (this.total(place) > this.limit(place)) return this.giveBack(place, thread);
    this.#set(place, thread, { usedAt: now, grants: this.#get(place, thread, "grants") + 1 });
    return "taken";
  }

  /** `now`: when its request ended. */
  giveBack(place: number, thread: number, now?: number): Echo {
    // Before the count falls: who sees that nobody uses it sees since when.
    if (now !== undefined) this.#set(place, thread, { usedAt: now });
    Atomics.sub(this.#counts, this.#at(place, thread), 1);
    if (this.limit(place) <= 0) return "heard";
    return Atomics.load(this.#counts, this.#heeded) === 1 && this.total(place) === 0 ? "heard" : "unheard";
  }

  limit(place: number): number {
    return Atomics.load(this.#counts, this.#at(place, -1));
  }

  /** The main thread's. */
  setLimit(place: number, limit: number): void {
    Atomics.store(this.#counts, this.#at(place, -1), limit);
  }

  /** Takes the place's turn to be tried: of all who see it one does, and brings his request to the main thread. */
  claim(place: number, { sign, closed }: { readonly sign: number; readonly closed: number }): boolean {
    if (this.limit(place) !== sign) return false;
    return Atomics.compareExchange(this.#counts, this.#at(place, -1), sign, closed) === sign;
  }

  /** Gives out no more there until the main thread sets a limit anew. */
  shut(place: number): void {
    for (let limit = this.limit(place); limit > CLOSED.shut; limit = this.limit(place))
      if (Atomics.compareExchange(this.#counts, this.#at(place, -1), limit, CLOSED.shut) === limit) return;
  }

  /** Requests of all threads. */
  total(place: number): number {
    let sum = 0;
    for (let thread = 0; thread < this.#threads; thread++) sum += this.#count(place, thread);
    return sum;
  }

  /** Requests of all threads but the main one. */
  ofWorkers(place: number): number {
    return this.total(place) - this.#count(place, 0);
  }

  /** The main thread's own. */
  setOwn(place: number, count: number): void {
    Atomics.store(this.#counts, this.#at(place, 0), count);
  }

  /** Whether workers are to say of each replica that it has no requests any more. */
  heed(isHeeded: boolean): void {
    Atomics.store(this.#counts, this.#heeded, isHeeded ? 1 : 0);
  }

  /** The thread has died. Says where it had something. */
  bury(thread: number): readonly number[] {
    const places = Array.from({ length: PLACES }, (_, place) => place);
    for (const place of places) this.#set(place, thread, { prompts: 0, tokens: 0 });
    return places.filter((place) => Atomics.exchange(this.#counts, this.#at(place, thread), 0) > 0);
  }

  /** Another replica is to have the place. */
  clear(place: number): void {
    for (let thread = 0; thread < this.#threads; thread++)
      this.#set(place, thread, { usedAt: 0, grants: 0, prompts: 0, tokens: 0 });
  }

  /** When somebody's request there began or ended last; 0 before the first. */
  usedAt(place: number): number {
    let last = 0;
    for (let thread = 0; thread < this.#threads; thread++) last = Math.max(last, this.#get(place, thread, "usedAt"));
    return last;
  }

  /** Requests that workers gave it. */
  grants(place: number): number {
    return this.#sum(place, "grants", -1);
  }

  /** What all but the thread have queued there. */
  queue(place: number, thread: number): SharedQueue {
    const sum = (field: keyof typeof FIELDS) => this.#sum(place, field, thread);
    return {
      others: {
        get prompts() {
          return sum("prompts");
        },
        get tokens() {
          return sum("tokens");
        },
      },
      tell: ({ prompts, tokens }) => this.#set(place, thread, { prompts, tokens }),
    };
  }

  get #heeded(): number {
    return this.#counts.length - 1;
  }

  /** -1: its limit. */
  #at(place: number, thread: number): number {
    return place * (this.#threads + 1) + thread + 1;
  }

  #count(place: number, thread: number): number {
    return Atomics.load(this.#counts, this.#at(place, thread));
  }

  #get(place: number, thread: number, field: keyof typeof FIELDS): number {
    return this.#figures[(place * this.#threads + thread) * WIDTH + FIELDS[field]] ?? 0;
  }

  #set(place: number, thread: number, values: Partial<Record<keyof typeof FIELDS, number>>): void {
    const first = (place * this.#threads + thread) * WIDTH;
    if (values.usedAt !== undefined) this.#figures[first + FIELDS.usedAt] = values.usedAt;
    if (values.grants !== undefined) this.#figures[first + FIELDS.grants] = values.grants;
    if (values.prompts !== undefined) this.#figures[first + FIELDS.prompts] = values.prompts;
    if (values.tokens !== undefined) this.#figures[first + FIELDS.tokens] = values.tokens;
  }

  #sum(place: number, field: keyof typeof FIELDS, without: number): number {
    let sum = 0;
    for (let thread = 0; thread < this.#threads; thread++)
      if (thread !== without) sum += this.#get(place, thread, field);
    return sum;
  }
}
