// Launch orders of operators: like waiters, but for a replica instead of a request.
import type { SelectRequest } from "../../catalog/select.ts";
import type { AimError } from "../../errors.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Replica } from "../replica.ts";
import type { Demand } from "../snapshot.ts";
import type { Wish } from "./wish.ts";

export interface LaunchOrder extends Wish {
  readonly request: SelectRequest;
}

export interface OrderResult {
  readonly replica: Replica;
  /** False when a replica as ordered was there already. */
  readonly created: boolean;
  readonly reasons: readonly string[];
}

interface OpenOrder {
  readonly order: LaunchOrder;
  /** What was done for it before it could be met. */
  readonly notes: string[];
  readonly since: number;
  readonly settle: (result: OrderResult | Error) => void;
}

export class Orders {
  readonly #clock: Clock;
  readonly #open = new Map<string, OpenOrder>();
  #next = 1;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(order: LaunchOrder, signal: AbortSignal, onLeave: () => void): Promise<OrderResult> {
    const id = `order:${this.#next++}`;
    const { promise, resolve, reject } = Promise.withResolvers<OrderResult>();
    const onAbort = () => {
      this.#settle(id, signal.reason instanceof Error ? signal.reason : new Error("the launch was given up"));
      onLeave();
    };
    const settle = (result: OrderResult | Error) => {
      signal.removeEventListener("abort", onAbort);
      if (result instanceof Error) reject(result);
      else resolve(result);
    };
    this.#open.set(id, { order, notes: [], since: this.#clock.now(), settle });
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    return promise;
  }

  /** Whoever ordered it hears of it with the result. */
  note(id: string, text: string): void {
    this.#open.get(id)?.notes.push(text);
  }

  settle(id: string, result: OrderResult | AimError): void {
    const notes = this.#open.get(id)?.notes ?? [];
    this.#settle(id, result instanceof Error ? result : { ...result, reasons: [...notes, ...result.reasons] });
  }

  refuseAll(error: AimError): void {
    for (const id of this.#open.keys()) this.#settle(id, error);
  }

  get isEmpty(): boolean {
    return this.#open.size === 0;
  }

  demands(): readonly Demand[] {
    return [...this.#open].map(([id, { order, since }]) => toDemand(id, order, since));
  }

  #settle(id: string, result: OrderResult | Error): void {
    const open = this.#open.get(id);
    if (open === undefined) return;
    this.#open.delete(id);
    open.settle(result);
  }
}

/** An order as the planner sees it. */
export function toDemand(id: string, { request, ...wish }: LaunchOrder, since: number): Demand {
  return { id, kind: "order", why: "order", request, since, rank: since, waiting: 1, mayStart: true, wish };
}
