// A replica that has just become ready is not flooded with all who wait: it takes a few requests at a time, twice as many each
// second. Its first answers compile what is left to compile and fill its caches, and to begin with nobody knows what it bears.
//
//   begins when it becomes ready; opens further with each second, and those who wait are told; ends when it takes as many as it
//   ever will, or is ready no more.
import type { Clock, Timer } from "../../lib/clock.ts";
import type { Replica } from "../replica.ts";

/** Enough to batch, and few enough to be answered soon by any engine. */
const FIRST = 8;
const STEP_MS = 1_000;
/** As many as engines decode at a time (vLLM's `max_num_seqs`); what comes on top waits in the engine anyway. */
const ENOUGH = 256;

export interface RampsDeps {
  readonly clock: Clock;
  /** It takes more than before. */
  onOpen(replica: Replica): void;
}

export class Ramps {
  readonly #deps: RampsDeps;
  readonly #timers = new Map<Replica, Timer>();
  #closed = false;

  constructor(deps: RampsDeps) {
    this.#deps = deps;
  }

  begin(replica: Replica): void {
    if (!this.#closed) this.#open(replica, FIRST);
  }

  /** It takes no more requests, or as many as it ever will. */
  end(replica: Replica): void {
    this.#timers.get(replica)?.cancel();
    this.#timers.delete(replica);
    replica.rampLimit = Infinity;
  }

  /** No timer is left, and none is started any more. */
  close(): void {
    this.#closed = true;
    for (const replica of this.#timers.keys()) this.end(replica);
  }

  #open(replica: Replica, limit: number): void {
    this.end(replica);
    if (limit >= Math.min(ENOUGH, replica.recipe?.maxInFlight ?? Infinity)) return;
    replica.rampLimit = limit;
    const widen = () => {
      this.#open(replica, limit * 2);
      this.#deps.onOpen(replica);
    };
    this.#timers.set(replica, this.#deps.clock.setTimer(STEP_MS, widen));
  }
}
