// The pool of a worker: slots that are lent are taken here and now; everything else the main thread decides.
import { digestOf } from "../control/balance/prompt-blocks.ts";
import { reasonOf } from "../control/fleet/waiters.ts";
import type { RequestTraits } from "../control/fleet/lease.ts";
import type { Lease, Outcome, ReplicaPool, RequestHints } from "../gateway/pool.ts";
import { addressOf } from "./address.ts";
import type { Borrowing } from "./borrowing.ts";
import { errorOf, type Grant, type Outlook, type Report, type SentError, sentOutcome } from "./messages.ts";

/** Of a model of which nothing was heard yet. */
const UNKNOWN: Outlook = { words: "waiting for a replica", retryAfterMs: 30_000 };

interface Asking {
  granted(grant: Grant): void;
  refused(error: Error): void;
}

export class WorkerPool implements ReplicaPool {
  readonly #borrowing: Borrowing;
  readonly #tell: (report: Report) => void;
  readonly #asking = new Map<number, Asking>();
  /** How many ask for each model, and what is said to them. */
  readonly #askers = new Map<string, number>();
  readonly #outlooks = new Map<string, Outlook>();
  #ids = 0;

  constructor(borrowing: Borrowing, tell: (report: Report) => void) {
    this.#borrowing = borrowing;
    this.#tell = tell;
  }

  tryAcquire(model: string, hints: RequestHints): Lease | undefined {
    return this.#borrowing.take(model, hints);
  }

  acquire(model: string, hints: RequestHints, signal: AbortSignal): Promise<Lease> {
    const { promise, resolve, reject } = Promise.withResolvers<Lease>();
    if (signal.aborted) return Promise.reject(reasonOf(signal));
    const id = ++this.#ids;
    const settled = () => {
      this.#asking.delete(id);
      this.#asksNoMore(model);
      signal.removeEventListener("abort", onAbort);
    };
    const onAbort = () => {
      settled();
      this.#tell({ kind: "left", id });
      reject(reasonOf(signal));
    };
    signal.addEventListener("abort", onAbort);
    this.#askers.set(model, (this.#askers.get(model) ?? 0) + 1);
    this.#asking.set(id, {
      granted: (grant) => {
        settled();
        resolve(new AskedLease(id, grant, this.#tell));
      },
      refused: (error) => {
        settled();
        reject(error);
      },
    });
    this.#tell({ kind: "acquire", id, model, request: traitsOf(model, hints) });
    return promise;
  }

  describeWait(model: string): string {
    return this.#outlook(model).words;
  }

  isColdStart(model: string): boolean {
    return !this.#borrowing.isServed(model);
  }

  retryAfterMs(model: string): number {
    return this.#outlook(model).retryAfterMs;
  }

  /** Who has left meanwhile has said so: the main thread has taken the lease back. */
  granted(id: number, grant: Grant): void {
    this.#asking.get(id)?.granted(grant);
  }

  refused(id: number, error: SentError): void {
    this.#asking.get(id)?.refused(errorOf(error));
  }

  /** What is to be said to those who wait for the model. */
  tellOutlook(model: string, outlook: Outlook): void {
    if (this.#askers.has(model)) this.#outlooks.set(model, outlook);
  }

  /** What was said to the last one would be old news to the next. */
  #asksNoMore(model: string): void {
    const left = (this.#askers.get(model) ?? 0) - 1;
    if (left > 0) return void this.#askers.set(model, left);
    this.#askers.delete(model);
    this.#outlooks.delete(model);
  }

  #outlook(model: string): Outlook {
    return this.#outlooks.get(model) ?? UNKNOWN;
  }
}

/** What the fleet has to know of a request: not its body. */
function traitsOf(model: string, { prompt, ...hints }: RequestHints): RequestTraits {
  return prompt === undefined ? hints : { ...hints, prompt: digestOf(prompt, model) };
}

/** A lease that the main thread keeps. */
class AskedLease implements Lease {
  readonly replica: string;
  readonly address: URL;
  readonly coldStart: boolean;
  readonly #id: number;
  readonly #tell: (report: Report) => void;
  #open = true;

  constructor(id: number, { replica, address, coldStart }: Grant, tell: (report: Report) => void) {
    this.replica = replica;
    this.address = addressOf(address);
    this.coldStart = coldStart;
    this.#id = id;
    this.#tell = tell;
  }

  firstByte(): void {
    if (this.#open) this.#tell({ kind: "first byte", id: this.#id });
  }

  report(outcome: Outcome): void {
    if (this.#open) this.#tell({ kind: "outcome", id: this.#id, outcome: sentOutcome(outcome) });
  }

  release(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#tell({ kind: "released", id: this.#id });
  }
}
