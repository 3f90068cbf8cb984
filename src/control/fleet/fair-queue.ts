// Those who wait for one model, in the order they are served: first the priority whose oldest has the lowest rank, in it client
// by client. Everything takes the same time however many wait.
import type { Priority } from "./lease.ts";
import { Line } from "./line.ts";
import { mayStart, rankOf, type Queued } from "./queued.ts";
import { Turns } from "./turns.ts";

export class FairQueue<Q extends Queued> {
  readonly #classes: Readonly<Record<Priority, Turns<Q>>> = {
    high: new Turns(),
    normal: new Turns(),
    low: new Turns(),
  };
  /** Of equal rank the higher priority comes first. */
  readonly #inOrder = [this.#classes.high, this.#classes.normal, this.#classes.low];
  readonly #withoutRight = new Line<Q>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get oldest(): Q | undefined {
    return this.#first(({ since }) => since)?.oldest;
  }

  /** Whoever has waited longest, by what his priority is worth. */
  get urgent(): Q | undefined {
    return this.#first(rankOf)?.oldest;
  }

  /** Whose turn it is. */
  get next(): Q | undefined {
    return this.#first(rankOf)?.next;
  }

  /** Those who may only use what was started for others. */
  get withoutRight(): readonly Q[] {
    return this.#withoutRight.all();
  }

  get countWithoutRight(): number {
    return this.#withoutRight.size;
  }

  /** Whether a replica may be started or woken for somebody who waits here. */
  get mayStart(): boolean {
    return this.#size > this.#withoutRight.size;
  }

  all(): readonly Q[] {
    return this.#inOrder.flatMap((turns) => turns.all());
  }

  add(queued: Q): void {
    this.#turnsOf(queued).add(queued);
    if (!mayStart(queued)) this.#withoutRight.add(queued);
    this.#size += 1;
  }

  /** It is to get what it waits for: that is its client's turn. */
  charge(queued: Q): void {
    this.#turnsOf(queued).charge(queued);
  }

  /** False when it does not wait here. */
  delete(queued: Q): boolean {
    if (!this.#turnsOf(queued).delete(queued)) return false;
    this.#withoutRight.delete(queued);
    this.#size -= 1;
    return true;
  }

  #turnsOf({ request }: Q): Turns<Q> {
    return this.#classes[request.priority ?? "normal"];
  }

  /** Of the priorities that have somebody waiting, the one whose oldest has the least of it. */
  #first(measure: (queued: Q) => number): Turns<Q> | undefined {
    let first: Turns<Q> | undefined;
    let least = Infinity;
    for (const turns of this.#inOrder) {
      const { oldest } = turns;
      if (oldest === undefined || measure(oldest) >= least) continue;
      least = measure(oldest);
      first = turns;
    }
    return first;
  }
}
