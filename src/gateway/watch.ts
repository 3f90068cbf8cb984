// Limits of time for many things at once: one timer looks after all of them, since starting and stopping one for each request
// costs more than all that is looked at.
import type { Clock, Timer } from "../lib/clock.ts";
import { type Member, UnderWay } from "./under-way.ts";

export interface Watched extends Member {
  /** Ends itself where its time is up, else says when that will be; Infinity: never, or it has ended already. */
  look(now: number): number;
}

/** It looks at least so often while there is anything to look after: so many look alike that none needs a timer of its own. */
const LONGEST_MS = 1_000;

export class Watch {
  readonly #clock: Clock;
  readonly #watched = new UnderWay<Watched>();
  #timer: Timer | undefined;
  #dueAt = Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** From now on it is looked after; its time is up at `dueAt`, as far as is known. */
  add(watched: Watched, now: number, dueAt: number): void {
    this.#watched.add(watched);
    this.expect(now, dueAt);
  }

  /** The time of one of them is up at `dueAt`, which may be sooner than it said. */
  expect(now: number, dueAt: number): void {
    const next = Math.min(dueAt, now + LONGEST_MS);
    if (next < this.#dueAt) this.#arm(now, next);
  }

  /** To be called once for each that was added. */
  delete(watched: Watched): void {
    this.#watched.delete(watched);
    if (this.#watched.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#dueAt = Infinity;
  }

  #arm(now: number, dueAt: number): void {
    this.#timer?.cancel();
    this.#dueAt = dueAt;
    this.#timer = this.#clock.setTimer(dueAt - now, () => this.#look());
  }

  #look(): void {
    this.#timer = undefined;
    this.#dueAt = Infinity;
    const now = this.#clock.now();
    let next = Infinity;
    for (const watched of this.#watched.all()) next = Math.min(next, watched.look(now));
    // While they were looked at, some may have come, and all may have gone.
    if (this.#watched.size > 0) this.expect(now, next);
  }
}
