// How many requests may be tried on another replica: a share of all requests, so that retries never become the load that
// keeps ailing replicas down; and a few each second in any case, so that a quiet gateway may retry at all.
import type { Clock } from "../lib/clock.ts";

const SHARE = 0.2;
const PER_SECOND = 10;
/** What may be saved up: enough for all who were on their way to a replica when it died. */
const MOST = 200;

/** A bucket of tokens: time and requests fill it, a retry takes one. It begins full. */
export class RetryBudget {
  readonly #clock: Pick<Clock, "now">;
  #tokens = MOST;
  #filledAt: number;

  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
    this.#filledAt = clock.now();
  }

  /** A request came, be it ever retried or not. */
  noteRequest(): void {
    this.#tokens = Math.min(MOST, this.#tokens + SHARE);
  }

  /** Whether one more retry is allowed; takes it from the budget. */
  tryTake(): boolean {
    const now = this.#clock.now();
    this.#tokens = Math.min(MOST, this.#tokens + ((now - this.#filledAt) / 1000) * PER_SECOND);
    this.#filledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
