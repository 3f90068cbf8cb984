// How much each model was used lately: a count of requests that halves every ten minutes. What is hot costs more to have
// unloaded than what is not.
import type { Clock } from "../../lib/clock.ts";

const HALF_LIFE_MS = 600_000;

interface Warmth {
  value: number;
  /** When that was its value. */
  at: number;
}

/** One entry for each model that was ever asked for: as many as the catalogue has at most. */
export class Heat {
  readonly #clock: Clock;
  readonly #models = new Map<string, Warmth>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** One request more; on the hot path. */
  note(model: string): void {
    const at = this.#clock.now();
    const warmth = this.#models.get(model);
    if (warmth === undefined) {
      this.#models.set(model, { value: 1, at });
      return;
    }
    warmth.value = cooled(warmth, at) + 1;
    warmth.at = at;
  }

  of(model: string): number {
    const warmth = this.#models.get(model);
    return warmth === undefined ? 0 : cooled(warmth, this.#clock.now());
  }
}

function cooled({ value, at }: Warmth, now: number): number {
  return value * 2 ** ((at - now) / HALF_LIFE_MS);
}
