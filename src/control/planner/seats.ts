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
  #isLoading = false;

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
    if (isStarting(replica.state) || replica.state === "waking") this.#isLoading = true;
  }

  /** A start on it has been decided: no other one before that is over. */
  take(share: number): void {
    this.taken += share;
    this.#isLoading = true;
  }

  /** Whether the need can be met on it now. */
  fits(need: Need): boolean {
    if (this.block !== undefined || this.isClaimed) return false;
    if (this.holders.length === 0 && this.taken === 0) return true;
    return this.#isEnoughFor(need, () => true);
  }

  /** Whether it will be possible when those are gone for which `stays` is false, and when the load on it is over. */
  willFit(need: Need, stays: (replica: ReplicaSnapshot) => boolean): boolean {
    return this.#isEnoughFor(need, stays, { afterLoad: true });
  }

  #isEnoughFor(need: Need, stays: (replica: ReplicaSnapshot) => boolean, { afterLoad = false } = {}): boolean {
    let awake = this.taken;
    let residual = 0;
    for (const replica of this.holders) {
      if (replica === need.waking || !stays(replica)) continue;
      if (replica.state === "sleeping") residual += replica.residualShare;
      else awake += replica.share;
    }
    if (!afterLoad && this.#isLoading && need.share < 1) return false;
    return this.#isEnough(need, awake, residual);
  }

  #isEnough({ share, memory }: Need, awake: number, residual: number): boolean {
    if (share < 1) return awake + residual + share <= 1 + SLACK;
    return awake === 0 && (residual === 0 || residual + memory <= 1 + SLACK);
  }
}
