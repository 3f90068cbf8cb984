// How often a replica that loads is asked whether it answers: seldom in the midst of a load of minutes, often where it may
// answer at any moment, as good as at once when its log says so.
import type { Clock } from "../../lib/clock.ts";
import { orAborted } from "../../lib/or-aborted.ts";

export interface PaceOptions {
  readonly clock: Clock;
  /** When it began to load. */
  readonly since: number;
  /** How long such a load usually takes; undefined while that is not known. */
  readonly usualMs: number | undefined;
}

const SHORTEST_MS = 25;
const LONGEST_MS = 500;
/** So much of a load may pass unseen: of its whole, and of what it differs from the usual one. */
const SHARE = 1 / 100;
/** The same, of the time since it was in its last steps, which are short. */
const LAST_STEPS_SHARE = 1 / 10;

/** Of one load, which is asked one question at a time. */
export class Pace {
  readonly #options: PaceOptions;
  #lastStepAt = -Infinity;
  /** Ends the pause under way as early as a pause may end. */
  #shorten: (() => void) | undefined;

  constructor(options: PaceOptions) {
    this.#options = options;
  }

  /** Its log says that it is in its last steps. */
  hurry(): void {
    this.#lastStepAt = this.#options.clock.now();
    this.#shorten?.();
  }

  /** Resolves when it is to be asked again; rejects with the signal's reason when that aborts. */
  async pause(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const { promise: over, resolve } = Promise.withResolvers<void>();
    const from = clock.now();
    let timer = clock.setTimer(this.#lengthAt(from), resolve);
    this.#shorten = () => {
      timer.cancel();
      timer = clock.setTimer(Math.max(0, from + SHORTEST_MS - clock.now()), resolve);
    };
    try {
      await orAborted(over, signal);
    } finally {
      this.#shorten = undefined;
      timer.cancel();
    }
  }

  #lengthAt(now: number): number {
    const { since, usualMs = Infinity } = this.#options;
    const elapsedMs = now - since;
    const midst = SHARE * Math.min(elapsedMs, Math.abs(usualMs - elapsedMs));
    const end = LAST_STEPS_SHARE * (now - this.#lastStepAt);
    return Math.min(LONGEST_MS, Math.max(SHORTEST_MS, Math.min(midst, end)));
  }
}
