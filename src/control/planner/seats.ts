// One GPU in a plan: who is on it, how much of it they have, and what becomes of that when some of them go.
import type { Gpu } from "../../runtime/driver.ts";
import type { GpuBlock } from "../fleet/gpus.ts";
import { isStarting } from "../replica.ts";
import type { ReplicaSnapshot } from "../snapshot.ts";

/** What is asked of each GPU. */
export interface Need {
  /** How many GPUs. */
  readonly count: number;
  /** Share of each; 1: the whole of it, with nobody awake beside. */
  readonly share: number;
  /** Share of its memory, where somebody sleeps on it. */
  readonly memory: number;
  /** The sleeper that is to be woken there: what it keeps is its own. */
  readonly waking: ReplicaSnapshot | undefined;
}

/** Shares are sums of decimals. */
const SLACK = 1e-9;

export class Seat {
  readonly gpu: Gpu;
  readonly block: GpuBlock | undefined;
  readonly holders: ReplicaSnapshot[] = [];
  /** Shares given out in this plan. */
  taken = 0;
  /** What is free of it, or comes back, is somebody's who waits already. */
  isClaimed = false;
  /** A start or a wake-up on it has been decided. */
  isGiven = false;
  /** Somebody measures its memory, or is about to give some of it back: nobody comes before that is over. */
  #isRestless = false;

  constructor(gpu: Gpu, block: GpuBlock | undefined) {
    this.gpu = gpu;
    this.block = block;
  }

  /** Nobody has any of it, and nobody of this plan gets it. */
  get isFree(): boolean {
    return this.holders.length === 0 && this.taken === 0 && !this.isClaimed && this.block === undefined;
  }

  get hasSleeper(): boolean {
    return this.holders.some(({ state }) => state === "sleeping");
  }

  /** Sharers keep together, which leaves whole cards to those who need them; those stay away from who sleeps, and may wake. */
  isBest({ share }: Need): boolean {
    const isShared = this.holders.length > 0 || this.taken > 0;
    return !this.hasSleeper && isShared === share < 1;
  }

  seat(replica: ReplicaSnapshot): void {
    this.holders.push(replica);
    if (isMeasuring(replica) || isOnItsWay(replica)) this.#isRestless = true;
  }

  /** A start on it has been decided: no other one before that is over. */
  take(share: number): void {
    this.taken += share;
    this.isGiven = true;
    this.#isRestless = true;
  }

  /** Somebody on it goes, or goes to sleep, by this plan. */
  vacate(): void {
    this.#isRestless = true;
  }

  /** Whether somebody measures its memory, but for those. What is freed meanwhile would confuse it. */
  isMeasured(except: (replica: ReplicaSnapshot) => boolean): boolean {
    return this.isGiven || this.holders.some((one) => isMeasuring(one) && !except(one));
  }

  /** Whether the need can be met on it now. */
  fits(need: Need): boolean {
    if (this.block !== undefined || this.isClaimed || this.#isRestless) return false;
    if (this.holders.length === 0 && this.taken === 0) return true;
    return this.willFit(need, () => true);
  }

  /** Whether it will be possible when those are gone for which `stays` is false, and when the load on it is over. */
  willFit(need: Need, stays: (replica: ReplicaSnapshot) => boolean): boolean {
    let awake = this.taken;
    let residual = 0;
    for (const replica of this.holders) {
      if (replica === need.waking || !stays(replica)) continue;
      if (replica.state === "sleeping") residual += replica.residualShare;
      else awake += replica.share;
    }
    return this.#isEnough(need, awake, residual);
  }

  #isEnough({ share, memory }: Need, awake: number, residual: number): boolean {
    if (share < 1) return awake + residual + share <= 1 + SLACK;
    return awake === 0 && (residual === 0 || residual + memory <= 1 + SLACK);
  }
}

/** It looks at what is free of its GPUs, and relies on that. */
export function isMeasuring({ state }: ReplicaSnapshot): boolean {
  return isStarting(state) || state === "waking";
}

/** It gives back what it has before long. */
function isOnItsWay({ state, stuck }: ReplicaSnapshot): boolean {
  return !stuck && (state === "stopping" || state === "failed" || state === "dozing");
}
