// A scripted ReplicaPool: hands out leases on the backends a test names, and records what becomes of each.
import type { Lease, Outcome, ReplicaPool, RequestHints } from "../../src/gateway/pool.ts";

/** One acquire, as the pool saw it. */
export interface Asked {
  readonly model: string;
  readonly hints: RequestHints;
  /** Only of those who have to wait. */
  readonly signal?: AbortSignal;
}

export class StubLease implements Lease {
  readonly replica: string;
  readonly address: URL;
  readonly coldStart: boolean;
  readonly outcomes: Outcome[] = [];
  releases = 0;
  firstBytes = 0;

  constructor(replica: string, options: { readonly address: URL; readonly coldStart: boolean }) {
    this.replica = replica;
    this.address = options.address;
    this.coldStart = options.coldStart;
  }

  firstByte(): void {
    this.firstBytes += 1;
  }

  report(outcome: Outcome): void {
    if (this.releases > 0) throw new Error("an outcome was reported after the lease had been released");
    this.outcomes.push(outcome);
  }

  release(): void {
    this.releases += 1;
  }
}

/** Grants at once on `addresses` in turn; while `hold()` is on, keeps requests waiting until `grant` or `refuse`. */
export class StubPool implements ReplicaPool {
  readonly asked: Asked[] = [];
  readonly leases: StubLease[] = [];
  doing = "loading weights 62%, about 40 s left";
  retryMs = 40_000;
  /** Grants in the very moment a waiter gives up. */
  grantsTooLate = false;
  readonly #addresses: readonly URL[];
  readonly #waiting: PromiseWithResolvers<Lease>[] = [];
  #holding = false;

  constructor(...addresses: readonly URL[]) {
    this.#addresses = addresses;
  }

  tryAcquire(model: string, hints: RequestHints): Lease | undefined {
    if (this.#holding) return undefined;
    this.asked.push({ model, hints });
    return this.#lease({ coldStart: false });
  }

  acquire(model: string, hints: RequestHints, signal: AbortSignal): Promise<Lease> {
    this.asked.push({ model, hints, signal });
    const waiter = Promise.withResolvers<Lease>();
    this.#waiting.push(waiter);
    const onAbort = () => {
      this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
      if (this.grantsTooLate) waiter.resolve(this.#lease({ coldStart: true }));
      else waiter.reject(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    return waiter.promise;
  }

  /** Whether the model is told to be cold. */
  cold = true;

  isColdStart(): boolean {
    return this.cold;
  }

  describeWait(): string {
    return this.doing;
  }

  retryAfterMs(): number {
    return this.retryMs;
  }

  /** From now on every request waits. */
  hold(): void {
    this.#holding = true;
  }

  /** Ends the wait of all, as after a cold start; later requests are granted at once. */
  grant(): void {
    this.#holding = false;
    for (const waiter of this.#waiting.splice(0)) waiter.resolve(this.#lease({ coldStart: true }));
  }

  /** Ends the wait of all with a failure. */
  refuse(error: Error): void {
    for (const waiter of this.#waiting.splice(0)) waiter.reject(error);
  }

  #lease(options: { readonly coldStart: boolean }): StubLease {
    const address = this.#addresses[this.leases.length % this.#addresses.length];
    if (address === undefined) throw new Error("the stub pool has no address");
    const lease = new StubLease(`replica-${this.leases.length + 1}`, { address, ...options });
    this.leases.push(lease);
    return lease;
  }
}
