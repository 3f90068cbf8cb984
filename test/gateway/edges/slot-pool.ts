// A pool with few slots, and a queue for them: it grants in turn, knows who has what, and remembers what must never happen.
import { AimError } from "../../../src/errors.ts";
import type { Lease, Outcome, ReplicaPool, RequestHints } from "../../../src/gateway/pool.ts";

interface Waiter {
  readonly hints: RequestHints;
  readonly signal: AbortSignal;
  readonly granted: PromiseWithResolvers<Lease>;
  readonly onAbort: () => void;
}

export interface SlotPoolOptions {
  readonly slots: number;
  /** Where a request goes; asked when it is granted. */
  readonly addressFor: (requestId: string) => URL;
  /** Whether a request waits although there may be slots, until it leaves. */
  readonly waitsForEver: (requestId: string) => boolean;
  /** Whether it is granted in the very moment in which it leaves. */
  readonly grantsTooLate: (requestId: string) => boolean;
  readonly onWaiting: (requestId: string) => void;
  readonly onGranted: (requestId: string) => void;
}

export class SlotPool implements ReplicaPool {
  readonly #options: SlotPoolOptions;
  readonly #waiters = new Set<Waiter>();
  readonly outcomes = new Map<Outcome["kind"], number>();
  /** What a gateway must never do: release twice, report twice, report what it has given back. */
  readonly breaches: string[] = [];
  inFlight = 0;
  granted = 0;

  constructor(options: SlotPoolOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  tryAcquire(_: string, { requestId }: RequestHints): Lease | undefined {
    const { slots, waitsForEver } = this.#options;
    return this.inFlight < slots && !waitsForEver(requestId) ? this.#lease(requestId) : undefined;
  }

  acquire(_: string, hints: RequestHints, signal: AbortSignal): Promise<Lease> {
    const granted = Promise.withResolvers<Lease>();
    const onAbort = () => this.#leave(waiter);
    const waiter: Waiter = { hints, signal, granted, onAbort };
    if (signal.aborted) return Promise.reject(new AimError("client_closed_request", "gone before it waited"));
    signal.addEventListener("abort", onAbort, { once: true });
    this.#waiters.add(waiter);
    this.#options.onWaiting(hints.requestId);
    return granted.promise;
  }

  describeWait(): string {
    return "every replica is busy";
  }

  isColdStart(): boolean {
    return false;
  }

  retryAfterMs(): number {
    return 1_000;
  }

  #leave(waiter: Waiter): void {
    this.#waiters.delete(waiter);
    const { requestId } = waiter.hints;
    if (this.#options.grantsTooLate(requestId)) waiter.granted.resolve(this.#lease(requestId));
    else waiter.granted.reject(waiter.signal.reason);
  }

  #grantNext(): void {
    const { slots, waitsForEver } = this.#options;
    for (const waiter of this.#waiters) {
      if (this.inFlight >= slots) return;
      if (waitsForEver(waiter.hints.requestId)) continue;
      this.#waiters.delete(waiter);
      waiter.signal.removeEventListener("abort", waiter.onAbort);
      waiter.granted.resolve(this.#lease(waiter.hints.requestId));
    }
  }

  #lease(requestId: string): Lease {
    this.inFlight += 1;
    this.granted += 1;
    const seen = { reports: 0, releases: 0 };
    this.#options.onGranted(requestId);
    return {
      replica: `replica-${this.granted}`,
      address: this.#options.addressFor(requestId),
      coldStart: false,
      firstByte: () => {
        if (seen.releases > 0) this.breaches.push(`${requestId}: a first byte after the release`);
      },
      report: ({ kind }) => {
        this.outcomes.set(kind, (this.outcomes.get(kind) ?? 0) + 1);
        if (++seen.reports > 1) this.breaches.push(`${requestId}: a second report`);
        if (seen.releases > 0) this.breaches.push(`${requestId}: a report after the release`);
      },
      release: () => {
        if (++seen.releases > 1) return void this.breaches.push(`${requestId}: a second release`);
        this.inFlight -= 1;
        this.#grantNext();
      },
    };
  }
}
