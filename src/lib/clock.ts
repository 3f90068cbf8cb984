// Time comes in through here, so that tests own it: `Clock` is monotonic and unaffected by changes of the wall clock.

/** A started timer; cancelling twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. For durations and deadlines. */
  now(): number;
  /** Milliseconds since the Unix epoch. For people and for what others wrote down; never for durations. */
  wallNow(): number;
  /** Runs `callback` once after `delayMs`; `Infinity` never fires. A pending timer keeps the process alive: cancel what is no longer wanted. */
  setTimer(delayMs: number, callback: () => void): Timer;
}

/** setTimeout turns any longer delay into 1 ms (2^31 - 1 ms, about 24.8 days), so longer ones are taken in steps. */
const MAX_TIMEOUT_MS = 2_147_483_647;

export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  setTimer(delayMs, callback) {
    if (delayMs === Infinity) return { cancel() {} };
    const dueAt = performance.now() + delayMs;
    let handle: NodeJS.Timeout;
    const arm = () => {
      const remaining = Math.max(0, dueAt - performance.now());
      handle = setTimeout(() => (remaining > MAX_TIMEOUT_MS ? arm() : callback()), Math.min(remaining, MAX_TIMEOUT_MS));
    };
    arm();
    return { cancel: () => clearTimeout(handle) };
  },
};

/** Where `Clock.now()` of this thread has its start, on a scale that all threads of the process share. */
export function clockStart(): number {
  return Number(process.hrtime.bigint()) / 1e6 - performance.now();
}

/** The clock of another thread, by its `clockStart`. */
export function clockSince(start: number): Clock {
  const aheadMs = clockStart() - start;
  return { ...systemClock, now: () => performance.now() + aheadMs };
}

/** Resolves after `delayMs`; rejects with the signal's reason when it aborts first. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(asError(signal.reason));
    const onAbort = () => {
      timer.cancel();
      reject(asError(signal?.reason));
    };
    const timer = clock.setTimer(delayMs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/**
 * A signal that aborts with `reason()` after `delayMs`, or with the parent when that aborts.
 * Call `done` when the guarded work ends: it stops the timer and lets go of the parent.
 */
export function deadline(
  clock: Clock,
  delayMs: number,
  reason: () => Error,
  parent?: AbortSignal,
): { readonly signal: AbortSignal; done(): void } {
  const controller = new AbortController();
  const onParentAbort = () => controller.abort(parent?.reason);
  if (parent?.aborted) controller.abort(parent.reason);
  parent?.addEventListener("abort", onParentAbort, { once: true });
  const timer = clock.setTimer(delayMs, () => controller.abort(reason()));
  return {
    signal: controller.signal,
    done() {
      timer.cancel();
      parent?.removeEventListener("abort", onParentAbort);
    },
  };
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error("aborted", { cause: reason });
}
