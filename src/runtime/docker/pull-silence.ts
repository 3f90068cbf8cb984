// The limit of a pull: it may take hours, but not in silence.
import type { AimError } from "../../errors.ts";
import type { Clock, Timer } from "../../lib/clock.ts";

export interface SilenceOptions {
  readonly clock: Clock;
  readonly limitMs: number;
  /** What to give up with; asked when it is time. */
  readonly reason: () => AimError;
  /** Whoever no longer needs the pull. */
  readonly cancel: AbortSignal;
}

/** `signal` aborts when nothing was heard for `limitMs`, or when `cancel` does. Call `end` when the pull has ended. */
export class Silence {
  readonly #options: SilenceOptions;
  readonly #givenUp = new AbortController();
  readonly signal: AbortSignal;
  #timer: Timer;

  constructor(options: SilenceOptions) {
    this.#options = options;
    this.signal = AbortSignal.any([options.cancel, this.#givenUp.signal]);
    this.#timer = this.#start();
  }

  /** Something was heard. */
  broken(): void {
    this.#timer.cancel();
    this.#timer = this.#start();
  }

  end(): void {
    this.#timer.cancel();
  }

  #start(): Timer {
    const { clock, limitMs, reason } = this.#options;
    return clock.setTimer(limitMs, () => this.#givenUp.abort(reason()));
  }
}
