// Requests without a lease yet: first come, first served per model, bounded in count and bytes, each with its own end.
import { AimError } from "../../errors.ts";

export interface WaiterLimits {
  readonly maxPerModel: number;
  /** Of all models. */
  readonly maxTotal: number;
  /** Request bodies held by waiters of all models, in bytes. */
  readonly maxBytes: number;
}

interface Waiter<T> {
  readonly since: number;
  readonly bytes: number;
  readonly signal: AbortSignal;
  readonly onAbort: () => void;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

/** A waiter leaves in exactly one way: granted, refused, or by its own signal. */
export class Waiters<T> {
  readonly #limits: WaiterLimits;
  readonly #byModel = new Map<string, Set<Waiter<T>>>();
  #bytes = 0;

  constructor(limits: WaiterLimits) {
    this.#limits = limits;
  }

  /** Rejects with `queue_full` at once when a bound is reached, and with the signal's reason when that aborts. */
  add(model: string, entry: { since: number; bytes: number; signal: AbortSignal; onLeave: () => void }): Promise<T> {
    const queue = this.#byModel.get(model) ?? new Set();
    if (queue.size >= this.#limits.maxPerModel || this.#bytes + entry.bytes > this.#limits.maxBytes) {
      const message = `too many requests are waiting for ${model} (${queue.size}); try again later`;
      return Promise.reject(new AimError("queue_full", message, { retryAfterMs: 5_000 }));
    }
    if (entry.signal.aborted) return Promise.reject(reasonOf(entry.signal));
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const onAbort = () => {
      this.#remove(model, waiter);
      reject(reasonOf(entry.signal));
      entry.onLeave();
    };
    const waiter: Waiter<T> = {
      since: entry.since,
      bytes: entry.bytes,
      signal: entry.signal,
      onAbort,
      resolve,
      reject,
    };
    entry.signal.addEventListener("abort", onAbort, { once: true });
    queue.add(waiter);
    this.#byModel.set(model, queue);
    this.#bytes += entry.bytes;
    return promise;
  }

  /** Hands the oldest waiter what `make` returns, given since when it waits; false when nobody waits. */
  grant(model: string, make: (since: number) => T): boolean {
    const waiter = this.#byModel.get(model)?.values().next().value;
    if (waiter === undefined) return false;
    this.#remove(model, waiter);
    waiter.resolve(make(waiter.since));
    return true;
  }

  /** Every waiter of the model gets the error; returns how many there were. */
  refuse(model: string, error: Error): number {
    const queue = [...(this.#byModel.get(model) ?? [])];
    for (const waiter of queue) {
      this.#remove(model, waiter);
      waiter.reject(error);
    }
    return queue.length;
  }

  get isEmpty(): boolean {
    return this.#byModel.size === 0;
  }

  count(model: string): number {
    return this.#byModel.get(model)?.size ?? 0;
  }

  /** Since when the oldest waits. */
  oldest(model: string): number | undefined {
    return this.#byModel.get(model)?.values().next().value?.since;
  }

  models(): readonly string[] {
    return [...this.#byModel.keys()];
  }

  #remove(model: string, waiter: Waiter<T>): void {
    const queue = this.#byModel.get(model);
    if (queue === undefined || !queue.delete(waiter)) return;
    waiter.signal.removeEventListener("abort", waiter.onAbort);
    this.#bytes -= waiter.bytes;
    if (queue.size === 0) this.#byModel.delete(model);
  }
}

function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error("aborted", { cause: signal.reason });
}
