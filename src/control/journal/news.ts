// What of that which is looked at with every plan is news: a wait that began or changed its cause, a scale that moved, and
// refusals in sum. Kept small and cheap, since plans are made far more often than anything changes.
import type { Demand, ScaleTarget } from "../snapshot.ts";
import type { Hold, HoldReason } from "../planner/why.ts";

/** Whoever asks, leaves and asks again for as long still waits for the same. */
const SAME_WAIT_MS = 60_000;

interface ToldHold {
  readonly why: HoldReason;
  seenAt: number;
}

/** The waits that were told of, by demand. */
export class HoldNews {
  readonly #told = new Map<string, ToldHold>();

  /** The demands whose wait is news. */
  look(demands: readonly Demand[], holds: ReadonlyMap<string, Hold>, now: number): readonly Demand[] {
    if (holds.size === 0 && this.#told.size === 0) return NONE;
    const news: Demand[] = [];
    for (const demand of holds.size === 0 ? NONE : demands) {
      const hold = holds.get(demand.id);
      if (hold === undefined) continue;
      const told = this.#told.get(demand.id);
      if (told?.why === hold.why) told.seenAt = now;
      else {
        this.#told.set(demand.id, { why: hold.why, seenAt: now });
        news.push(demand);
      }
    }
    for (const [id, { seenAt }] of this.#told) if (now - seenAt > SAME_WAIT_MS) this.#told.delete(id);
    return news;
  }

  /** Something was done for it: whatever it waits for next is news. */
  met(demand: Demand): void {
    this.#told.delete(demand.id);
  }
}

/** The targets that were told of, by model. */
export class ScaleNews {
  #told: ReadonlyMap<string, ScaleTarget> = new Map();

  /** The models whose target is another one than before. */
  look(targets: ReadonlyMap<string, ScaleTarget>): readonly string[] {
    if (targets === this.#told) return NONE;
    const before = this.#told;
    this.#told = targets;
    return [...targets.keys()].filter((model) => targets.get(model)?.replicas !== before.get(model)?.replicas);
  }
}

const TELL_EVERY_MS = 10_000;

interface Sum {
  readonly model: string;
  readonly reason: string;
  toldAt: number;
  /** Since it was told. */
  more: number;
}

export interface Refused {
  readonly model: string;
  /** The code of the error. */
  readonly reason: string;
  readonly count: number;
}

/** A flood of refusals is told of at once and then in sum. */
export class RefusalNews {
  readonly #sums = new Map<string, Sum>();

  /** True where it is to be told of now; otherwise it is counted, and comes with `due`. */
  add({ model, reason, count }: Refused, now: number): boolean {
    const key = `${reason} ${model}`;
    const sum = this.#sums.get(key);
    if (sum !== undefined) {
      sum.more += count;
      return false;
    }
    this.#sums.set(key, { model, reason, toldAt: now, more: 0 });
    return true;
  }

  /** What has come together since it was last told of. */
  due(now: number): readonly Refused[] {
    if (this.#sums.size === 0) return NONE;
    const due: Refused[] = [];
    for (const [key, sum] of this.#sums) {
      if (now - sum.toldAt < TELL_EVERY_MS) continue;
      if (sum.more === 0) this.#sums.delete(key);
      else due.push({ model: sum.model, reason: sum.reason, count: sum.more });
      sum.toldAt = now;
      sum.more = 0;
    }
    return due;
  }
}

const NONE: readonly never[] = [];
