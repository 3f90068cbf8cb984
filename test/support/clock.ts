// Virtual time: nothing moves until the test says so.
import type { Clock, Timer } from "../../src/lib/clock.ts";

interface Pending {
  readonly dueAt: number;
  readonly order: number;
  /** Absent: cancelled. */
  callback: (() => void) | undefined;
}

/** Between two of them promises settle as well, and several at once cost hardly more than one. */
const TURNS_AT_ONCE = 4;

export class FakeClock implements Clock {
  #now = 0;
  #order = 0;
  readonly #epoch = Date.UTC(2026, 0, 1);
  /** The soonest first; cancelled ones stay until their time comes. */
  readonly #heap = new Heap();
  #pending = 0;
  readonly #turns: number;

  /** One turn of the event loop after each timer is enough where nothing does real input or output. */
  constructor(options: { readonly turns?: number } = {}) {
    this.#turns = options.turns ?? 5;
  }

  now(): number {
    return this.#now;
  }

  wallNow(): number {
    return this.#epoch + this.#now;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    if (delayMs === Infinity) return { cancel() {} };
    const entry: Pending = { dueAt: this.#now + delayMs, order: this.#order++, callback };
    this.#heap.push(entry);
    this.#pending += 1;
    return { cancel: () => void this.#take(entry) };
  }

  /** Timers that would still fire. */
  get pending(): number {
    return this.#pending;
  }

  /** Moves time on, firing due timers in order and letting promises settle before and after each. */
  async advance(ms: number): Promise<void> {
    const target = this.#now + ms;
    if (this.#turns === 1) await this.#play(target);
    else {
      do await settle(this.#turns);
      while (this.#fire(target));
    }
    this.#now = target;
  }

  /** As many turns as there are timers to fire, and one more. */
  #play(target: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let left = 0;
    let isOver = false;
    const turn = () => {
      left -= 1;
      if (isOver) return;
      try {
        isOver = !this.#fire(target);
      } catch (error) {
        isOver = true;
        reject(error);
      }
      if (isOver) resolve();
      else if (left === 0) takeTurns();
    };
    const takeTurns = () => {
      for (; left < TURNS_AT_ONCE; left++) setImmediate(turn);
    };
    takeTurns();
    return promise;
  }

  /** Fires the next timer; false when none is due by then. */
  #fire(target: number): boolean {
    for (let next = this.#heap.first; next !== undefined && next.dueAt <= target; next = this.#heap.first) {
      this.#heap.shift();
      const callback = this.#take(next);
      if (callback === undefined) continue;
      this.#now = Math.max(this.#now, next.dueAt);
      callback();
      return true;
    }
    return false;
  }

  #take(entry: Pending): (() => void) | undefined {
    const { callback } = entry;
    if (callback !== undefined) this.#pending -= 1;
    entry.callback = undefined;
    return callback;
  }
}

/** Of timers, the one that is due first on top; of those due at once, the one that was set first. */
class Heap {
  readonly #entries: Pending[] = [];

  get first(): Pending | undefined {
    return this.#entries[0];
  }

  push(entry: Pending): void {
    let at = this.#entries.length;
    for (;;) {
      const parent = (at - 1) >> 1;
      const above = this.#entries[parent];
      if (above === undefined || isBefore(above, entry)) break;
      this.#entries[at] = above;
      at = parent;
    }
    this.#entries[at] = entry;
  }

  shift(): void {
    const entries = this.#entries;
    const last = entries.pop();
    if (last === undefined || entries.length === 0) return;
    let at = 0;
    for (;;) {
      const child = this.#sooner(2 * at + 1);
      const below = entries[child];
      if (below === undefined || isBefore(last, below)) break;
      entries[at] = below;
      at = child;
    }
    entries[at] = last;
  }

  /** Of a place and the one after it. */
  #sooner(left: number): number {
    const [one, other] = [this.#entries[left], this.#entries[left + 1]];
    return one !== undefined && other !== undefined && isBefore(other, one) ? left + 1 : left;
  }
}

function isBefore(one: Pending, other: Pending): boolean {
  return one.dueAt < other.dueAt || (one.dueAt === other.dueAt && one.order < other.order);
}

/** Lets everything that is already resolved run. */
export async function settle(turns = 5): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}
