// A supervised periodic job: one run at a time, faults reported, stoppable. The only way to do something "every N seconds".
import { sleep, type Clock } from "./clock.ts";

export interface Loop {
  /** Runs now instead of at the end of the pause; while a run is under way, once more after it. */
  kick(): void;
  /** Aborts the run under way and waits for it. Idempotent. */
  stop(): Promise<void>;
}

export interface LoopOptions {
  readonly clock: Clock;
  /** Pause between the end of one run and the start of the next; a function is asked after each run. */
  readonly everyMs: number | (() => number);
  run(signal: AbortSignal): Promise<void>;
  /** Called with what `run` threw; the loop goes on. */
  onError(error: unknown): void;
}

/** Starts with a first run at once. */
export function startLoop(options: LoopOptions): Loop {
  const stopping = new AbortController();
  let pause = new AbortController();
  let kicked = false;

  async function runOnce(): Promise<void> {
    try {
      await options.run(stopping.signal);
    } catch (error) {
      if (!stopping.signal.aborted) options.onError(error);
    }
  }

  async function main(): Promise<void> {
    while (!stopping.signal.aborted) {
      kicked = false;
      await runOnce();
      if (kicked || stopping.signal.aborted) continue;
      pause = new AbortController();
      // A rejected pause is a kick or a stop: both mean "look again now".
      const { everyMs } = options;
      await sleep(options.clock, typeof everyMs === "number" ? everyMs : everyMs(), pause.signal).catch(
        () => undefined,
      );
    }
  }

  const ended = main();
  return {
    kick() {
      kicked = true;
      pause.abort();
    },
    async stop() {
      stopping.abort(new Error("the loop is stopping"));
      pause.abort();
      await ended;
    },
  };
}
