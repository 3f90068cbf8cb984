// Requests without a lease yet, per model: bounded and fair between clients. A waiter enters by `add` and leaves in exactly one
// way: granted, refused, pushed out by a client that has its share to get, or by its own signal.
import { AimError } from "../../errors.ts";
import { Bound } from "./bound.ts";
import { FairQueue } from "./fair-queue.ts";
import type { RequestTraits } from "./lease.ts";
import { rankOf, type Queued } from "./queued.ts";

export interface WaiterLimits {
  readonly maxPerModel: number;
  /** Of all models. */
  readonly maxTotal: number;
  /** Request bodies held by waiters of all models, in bytes. */
  readonly maxBytes: number;
}

/** A request that would wait. */
export interface Applicant {
  readonly since: number;
  readonly request: RequestTraits;
  readonly signal: AbortSignal;
  /** It left by itself, or was pushed out. */
  onLeave(): void;
}

/** Those who wait for a model, taken together. */
export interface Crowd {
  readonly model: string;
  readonly waiting: number;
  /** Since when the oldest waits. */
  readonly since: number;
  /** Of the most urgent; the lower, the sooner. */
  readonly rank: number;
  /** Whether somebody of them has the right to start or wake a replica. */
  readonly mayStart: boolean;
}

export interface WaitersDeps {
  /** When those who find no place may ask again. */
  retryAfterMs(model: string): number;
  /** There was no place for somebody, or he had to make some. */
  onFull(model: string, error: AimError): void;
}

interface Waiter<T> extends Applicant {
  readonly model: string;
  readonly onAbort: () => void;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

interface Queue<T> {
  readonly order: FairQueue<Waiter<T>>;
  /** Its own first, then those of all models. */
  readonly bounds: readonly Bound<Waiter<T>>[];
}

export class Waiters<T> {
  readonly #deps: WaitersDeps;
  readonly #maxPerModel: number;
  readonly #common: readonly Bound<Waiter<T>>[];
  readonly #queues = new Map<string, Queue<T>>();

  constructor({ maxPerModel, maxTotal, maxBytes }: WaiterLimits, deps: WaitersDeps) {
    this.#deps = deps;
    this.#maxPerModel = maxPerModel;
    this.#common = [
      new Bound({
        most: maxTotal,
        amountOf: () => 1,
        reached: "too many requests are waiting for all models together",
      }),
      new Bound({
        most: maxBytes,
        amountOf: ({ request }) => request.bodyBytes,
        reached: "the requests that wait hold too many bytes",
      }),
    ];
  }

  /** Rejects with `queue_full` at once when a bound is reached, and with the signal's reason when that aborts. */
  add(model: string, applicant: Applicant): Promise<T> {
    const { signal } = applicant;
    if (signal.aborted) return Promise.reject(reasonOf(signal));
    const queue = this.#queues.get(model) ?? this.#newQueue(model);
    const full = queue.bounds.find((bound) => !bound.admits(applicant));
    if (full !== undefined) return Promise.reject(this.#queueFull(model, full.reached));
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const onAbort = () => this.#turnAway(waiter, reasonOf(signal));
    const waiter: Waiter<T> = { ...applicant, model, onAbort, resolve, reject };
    signal.addEventListener("abort", onAbort, { once: true });
    this.#queues.set(model, queue);
    queue.order.add(waiter);
    for (const bound of queue.bounds) bound.add(waiter);
    for (const bound of queue.bounds) this.#enforce(bound);
    return promise;
  }

  /** Hands whoever's turn it is what `make` returns; false when nobody waits. */
  grant(model: string, make: (applicant: Applicant) => T): boolean {
    for (;;) {
      const order = this.#queues.get(model)?.order;
      const waiter = order?.next;
      if (order === undefined || waiter === undefined) return false;
      if (waiter.signal.aborted) {
        // One event aborts several signals, and whoever heard it first gave back what is granted here.
        this.#turnAway(waiter, reasonOf(waiter.signal));
        continue;
      }
      const value = make(waiter);
      order.charge(waiter);
      this.#remove(waiter);
      waiter.resolve(value);
      return true;
    }
  }

  /** Every waiter of the model gets the error. */
  refuse(model: string, error: Error): void {
    this.#refuse(this.#queues.get(model)?.order.all(), error);
  }

  /** Those get the error who may only use what was started for others. */
  refuseWithoutRight(model: string, error: Error): void {
    this.#refuse(this.#queues.get(model)?.order.withoutRight, error);
  }

  get isEmpty(): boolean {
    return this.#queues.size === 0;
  }

  count(model: string): number {
    return this.#queues.get(model)?.order.size ?? 0;
  }

  /** Since when the one waits who has waited longest; undefined when nobody does. */
  oldest(model: string): number | undefined {
    return this.#queues.get(model)?.order.oldest?.since;
  }

  countWithoutRight(model: string): number {
    return this.#queues.get(model)?.order.countWithoutRight ?? 0;
  }

  /** Whether a replica may be started or woken for somebody who waits for the model. */
  mayStart(model: string): boolean {
    return this.#queues.get(model)?.order.mayStart ?? false;
  }

  models(): readonly string[] {
    return [...this.#queues.keys()];
  }

  crowds(): readonly Crowd[] {
    return [...this.#queues].map(([model, { order }]) => crowdOf(model, order));
  }

  #newQueue(model: string): Queue<T> {
    const most = this.#maxPerModel;
    const own = new Bound<Waiter<T>>({
      most,
      amountOf: () => 1,
      reached: `too many requests are waiting for ${model}`,
    });
    return { order: new FairQueue(), bounds: [own, ...this.#common] };
  }

  #enforce(bound: Bound<Waiter<T>>): void {
    while (bound.isOver) {
      const { greediest } = bound;
      if (greediest === undefined) return;
      const why = `${bound.reached}, more of them yours than anybody else's`;
      this.#turnAway(greediest, this.#queueFull(greediest.model, why));
    }
  }

  #queueFull(model: string, why: string): AimError {
    const retryAfterMs = this.#deps.retryAfterMs(model);
    const error = new AimError("queue_full", `${why}; try again later`, { retryAfterMs });
    this.#deps.onFull(model, error);
    return error;
  }

  /** Nobody who had the say decided that it leaves: whoever manages the waiters has to hear of it. */
  #turnAway(waiter: Waiter<T>, error: Error): void {
    if (!this.#remove(waiter)) return;
    waiter.reject(error);
    waiter.onLeave();
  }

  #refuse(waiters: readonly Waiter<T>[] = [], error: Error): void {
    for (const waiter of waiters) {
      this.#remove(waiter);
      waiter.reject(error);
    }
  }

  /** False when it had left before. */
  #remove(waiter: Waiter<T>): boolean {
    const queue = this.#queues.get(waiter.model);
    if (queue === undefined || !queue.order.delete(waiter)) return false;
    waiter.signal.removeEventListener("abort", waiter.onAbort);
    for (const bound of queue.bounds) bound.delete(waiter);
    if (queue.order.size === 0) this.#queues.delete(waiter.model);
    return true;
  }
}

function crowdOf(model: string, { size, oldest, urgent, mayStart }: FairQueue<Queued>): Crowd {
  const rank = urgent === undefined ? Infinity : rankOf(urgent);
  return { model, waiting: size, since: oldest?.since ?? Infinity, rank, mayStart };
}

/** What a signal rejects with. */
export function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error("aborted", { cause: signal.reason });
}
