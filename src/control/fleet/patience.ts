// For how long models have been waited for in vain, by whomever: clients that give up after a minute and ask again never wait
// long one by one, and their model would never get the GPUs of one that is always in use.
//
//   in     somebody waits for a model; the last one has left; somebody was served, or all were told that there will be nothing
//   out    since when the model is waited for, the pauses left out
//   ends   when somebody was served or refused, and when nobody asked again for a while
//
// What counts is the time in which somebody waits: one that looks in for a second now and then is not patient for that.
import type { Clock } from "../../lib/clock.ts";

/** Official SDKs ask again within a minute, be it that they are told when to. */
const COMES_BACK_MS = 60_000;

interface Wait {
  /** When it began, later by all its pauses. */
  readonly since: number;
  /** When the last one left; undefined while somebody waits. */
  readonly leftAt: number | undefined;
}

/** One entry for each model that was ever waited for at most. */
export class Patience {
  readonly #clock: Clock;
  readonly #waits = new Map<string, Wait>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Somebody waits for the model, be he the first or not. */
  begin(model: string): void {
    const now = this.#clock.now();
    const wait = this.#waits.get(model);
    if (wait !== undefined && wait.leftAt === undefined) return;
    const pauseMs = now - (wait?.leftAt ?? -Infinity);
    const since = wait === undefined || pauseMs > COMES_BACK_MS ? now : wait.since + pauseMs;
    this.#waits.set(model, { since, leftAt: undefined });
  }

  /** Nobody waits for it any more: the last one gave up. */
  pause(model: string): void {
    const wait = this.#waits.get(model);
    if (wait !== undefined && wait.leftAt === undefined) this.#waits.set(model, { ...wait, leftAt: this.#clock.now() });
  }

  /** Somebody was served, or refused: those who wait from now on begin anew. */
  end(model: string, left: { readonly waiting: number }): void {
    if (left.waiting === 0) this.#waits.delete(model);
    else this.#waits.set(model, { since: this.#clock.now(), leftAt: undefined });
  }

  /** Infinity: nobody waits for it. */
  since(model: string): number {
    const wait = this.#waits.get(model);
    return wait === undefined || wait.leftAt !== undefined ? Infinity : wait.since;
  }
}
