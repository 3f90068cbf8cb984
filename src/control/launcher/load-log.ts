// Follows the log of a replica that loads, for what it says about its progress. A log that breaks off is taken up again: while
// it cannot be read, silence means nothing.
import { sleep, type Clock } from "../../lib/clock.ts";
import type { BackendRef, LogOptions, RuntimeDriver } from "../../runtime/driver.ts";
import type { LoadStep, StartProgress } from "./phases.ts";

export interface LoadLogDeps {
  readonly clock: Clock;
  readonly driver: RuntimeDriver;
  readonly progress: StartProgress;
  parseProgress(line: string): LoadStep | undefined;
  /** The progress says something new. */
  onNews(): void;
  /** It is in its last steps, and may answer from now on. */
  onLastSteps(): void;
}

/** So much of what was said before we came is read. */
const TAIL = 50;
const AGAIN_MS = 5_000;

/** Resolves when the signal aborts; never rejects. */
export async function followLoad(deps: LoadLogDeps, ref: BackendRef, signal: AbortSignal): Promise<void> {
  const reader = new Reader(deps);
  while (!signal.aborted) {
    // Whether it ended or failed, it is read again after a while: the load itself does not depend on it.
    await reader.read(ref, signal).catch(() => undefined);
    if (signal.aborted) return;
    deps.progress.lookAway();
    await sleep(deps.clock, AGAIN_MS, signal).catch(() => undefined);
  }
}

class Reader {
  readonly #deps: LoadLogDeps;
  #lastTime: string | undefined;

  constructor(deps: LoadLogDeps) {
    this.#deps = deps;
  }

  async read(ref: BackendRef, signal: AbortSignal): Promise<void> {
    for await (const line of this.#deps.driver.logs(ref, this.#options(), signal)) {
      this.#lastTime = line.time ?? this.#lastTime;
      this.#take(line.text);
    }
  }

  #options(): LogOptions {
    const since = this.#lastTime;
    return since === undefined ? { follow: true, tail: TAIL } : { follow: true, tail: Infinity, since };
  }

  #take(line: string): void {
    const { clock, progress } = this.#deps;
    const now = clock.now();
    progress.lookAgain(now);
    const step = this.#deps.parseProgress(line);
    if (step === undefined) return progress.onLine(now);
    if (progress.onStep(step, now)) this.#deps.onNews();
    if (step.phase === "warm-up") this.#deps.onLastSteps();
  }
}
