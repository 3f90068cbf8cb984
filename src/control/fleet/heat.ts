// How often each model is asked for lately: an estimate of its rate in which a request of ten minutes ago counts half. What is
// hot costs more to have unloaded than what is not.
import type { Clock } from "../../lib/clock.ts";

const HALF_LIFE_MS = 600_000;
/** So little is left of what was before that it is forgotten: the next request begins anew. */
const COLD = 0.5;
/** Before that, two requests in a row would look like a flood. */
const TELLING_MS = 60_000;
const MINUTE_MS = 60_000;

interface Warmth {
  /** Requests, each halved every half-life. */
  value: number;
  /** When that was its value. */
  at: number;
  /** When the first of them came. */
  since: number;
}

/** One entry for each model that was ever asked for: as many as the catalogue has at most. */
export class Heat {
  readonly #clock: Clock;
  readonly #models = new Map<string, Warmth>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** One request more, or several, of which the last came at that time; on the hot path. */
  note(model: string, at: number, count = 1): void {
    if (count === 0) return;
    const warmth = this.#models.get(model);
    if (warmth === undefined) {
      this.#models.set(model, { value: count, at, since: at });
      return;
    }
    const left = cooled(warmth, at);
    if (left < COLD) warmth.since = at;
    warmth.value = left < COLD ? count : left + count;
    warmth.at = at;
  }

  /** Requests a minute, from what was seen since the model came into use. */
  perMinute(model: string): number {
    const warmth = this.#models.get(model);
    if (warmth === undefined) return 0;
    const now = this.#clock.now();
    // A rate that has lasted for long has a sum of rate × half-life / ln 2, one that has just begun only a part of that.
    const seen = 1 - 2 ** (-Math.max(TELLING_MS, now - warmth.since) / HALF_LIFE_MS);
    return (cooled(warmth, now) * Math.LN2 * MINUTE_MS) / (HALF_LIFE_MS * seen);
  }
}

function cooled({ value, at }: Warmth, now: number): number {
  return value * 2 ** ((at - now) / HALF_LIFE_MS);
}
