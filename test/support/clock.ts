// Virtual time: nothing moves until the test says so.
import type { Clock, Timer } from "../../src/lib/clock.ts";

interface Pending {
  readonly dueAt: number;
  readonly order: number;
  readonly callback: () => void;
}

export class FakeClock implements Clock {
  #now = 0;
  #order = 0;
  readonly #epoch = Date.UTC(2026, 0, 1);
  readonly #pending = new Set<Pending>();
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
    const entry = { dueAt: this.#now + delayMs, order: this.#order++, callback };
    if (delayMs !== Infinity) this.#pending.add(entry);
    return { cancel: () => this.#pending.delete(entry) };
  }

  /** Timers that would still fire. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Moves time on, firing due timers in order and letting promises settle after each. */
  async advance(ms: number): Promise<void> {
    const target = this.#now + ms;
    await settle(this.#turns);
    for (;;) {
      const next = [...this.#pending]
        .filter((entry) => entry.dueAt <= target)
        .sort((a, b) => a.dueAt - b.dueAt || a.order - b.order)[0];
      if (next === undefined) break;
      this.#pending.delete(next);
      this.#now = Math.max(this.#now, next.dueAt);
      next.callback();
      await settle(this.#turns);
    }
    this.#now = target;
    await settle(this.#turns);
  }
}

/** Lets everything that is already resolved run. */
export async function settle(turns = 5): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}
