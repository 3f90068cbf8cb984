// Where the main thread serves one worker: it acquires for the worker what that cannot take by itself, keeps those leases, and
// hears what became of all of them. When the worker dies, what it waited for is called off and what it held is given back.
import type { RequestTraits, ReplicaLease } from "../control/fleet/lease.ts";
import type { Fleet } from "../control/fleet.ts";
import type { FleetPool } from "../control/pool.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import type { TallyLender } from "./lender.ts";
import { type Order, outcomeOf, type Report, sentError } from "./messages.ts";

export interface DeskDeps {
  readonly clock: Clock;
  readonly fleet: Pick<Fleet, "others">;
  readonly pool: FleetPool;
  readonly lender: TallyLender;
}

/** How often those who wait hear what is new. */
const OUTLOOK_MS = 500;

interface Waiting {
  readonly model: string;
  readonly abort: AbortController;
}

export class Desk {
  readonly #deps: DeskDeps;
  readonly #worker: number;
  readonly #tell: (order: Order) => void;
  readonly #waiting = new Map<number, Waiting>();
  readonly #leases = new Map<number, ReplicaLease>();
  /** What was said last of each model that is waited for. */
  readonly #said = new Map<string, string>();
  #timer: Timer | undefined;

  constructor(worker: number, tell: (order: Order) => void, deps: DeskDeps) {
    this.#deps = deps;
    this.#worker = worker;
    this.#tell = tell;
    deps.lender.join(worker, tell);
  }

  /** False for what is not its business. */
  hear(report: Report): boolean {
    switch (report.kind) {
      case "acquire":
        this.#acquire(report.id, report.model, report.request);
        return true;
      case "left":
        this.#waiting.get(report.id)?.abort.abort(new Error("the client left, or its time was up"));
        this.#release(report.id);
        return true;
      case "first byte":
        this.#leases.get(report.id)?.firstByte();
        return true;
      case "outcome":
        this.#leases.get(report.id)?.report(outcomeOf(report.outcome));
        return true;
      case "released":
        this.#release(report.id);
        return true;
      case "failed":
      case "freed":
        this.#ofLent(report);
        return true;
      case "forgot":
        this.#deps.lender.forgot(this.#worker, report);
        return true;
      case "listening":
      case "cannot serve":
      case "samples":
      case "log":
      case "closed":
        return false;
    }
  }

  /** The worker is gone. */
  close(): void {
    this.#timer?.cancel();
    for (const { abort } of this.#waiting.values()) abort.abort(new Error("the worker that asked has died"));
    for (const id of this.#leases.keys()) this.#release(id);
    for (const replica of this.#deps.lender.leave(this.#worker)) this.#deps.fleet.others.freed(replica);
  }

  #acquire(id: number, model: string, request: RequestTraits): void {
    const abort = new AbortController();
    try {
      const lease = this.#deps.pool.tryAcquire(model, request);
      if (lease !== undefined) return this.#grant(id, lease);
      const waiting = this.#deps.pool.acquire(model, request, abort.signal);
      this.#waiting.set(id, { model, abort });
      // After the plan that it calls for, which is made in this turn: only then is it known when to come back.
      queueMicrotask(() => this.#tellOutlook(model));
      this.#watch();
      void this.#settle(id, waiting);
    } catch (error) {
      this.#tell({ kind: "refused", id, error: sentError(error) });
    }
  }

  async #settle(id: number, waiting: Promise<ReplicaLease>): Promise<void> {
    try {
      const lease = await waiting;
      const hasLeft = this.#waiting.get(id)?.abort.signal.aborted;
      this.#ends(id);
      if (hasLeft) lease.release();
      else this.#grant(id, lease);
    } catch (error) {
      // Just before it is told, for it may tell when to come back.
      const model = this.#waiting.get(id)?.model;
      if (model !== undefined) this.#tellOutlook(model);
      this.#ends(id);
      this.#tell({ kind: "refused", id, error: sentError(error) });
    }
  }

  #grant(id: number, lease: ReplicaLease): void {
    this.#leases.set(id, lease);
    const { replica, address, coldStart } = lease;
    this.#tell({ kind: "granted", id, grant: { replica, address: address.href, coldStart } });
  }

  #release(id: number): void {
    this.#leases.get(id)?.release();
    this.#leases.delete(id);
  }

  #ofLent(report: Extract<Report, { kind: "failed" | "freed" }>): void {
    const replica = this.#deps.lender.replicaAt(report);
    if (replica === undefined) return;
    if (report.kind === "freed") this.#deps.fleet.others.freed(replica);
    // It was given without a number: news of it is old once something is held against the replica.
    else this.#deps.fleet.others.report(replica, 0, outcomeOf(report.outcome));
  }

  #ends(id: number): void {
    const model = this.#waiting.get(id)?.model;
    this.#waiting.delete(id);
    if (model !== undefined && ![...this.#waiting.values()].some((other) => other.model === model))
      this.#said.delete(model);
  }

  /** Tells what is new of all models that are waited for; again and again while there are any. */
  #watch(): void {
    this.#timer?.cancel();
    this.#timer = this.#deps.clock.setTimer(OUTLOOK_MS, () => {
      for (const model of new Set([...this.#waiting.values()].map((waiting) => waiting.model)))
        this.#tellOutlook(model);
      if (this.#waiting.size > 0) this.#watch();
    });
  }

  #tellOutlook(model: string): void {
    const { pool } = this.#deps;
    const outlook = { words: pool.describeWait(model), retryAfterMs: pool.retryAfterMs(model) };
    const text = JSON.stringify(outlook);
    if (this.#said.get(model) === text) return;
    this.#said.set(model, text);
    this.#tell({ kind: "outlook", model, outlook });
  }
}
