// Who holds which GPU: derived from the replicas, never stored. A GPU is free when no replica that is not gone holds it.
import type { Profile, Recipe, RuntimeName } from "../catalog/recipe.ts";
import { matchesHardware, type RuntimeOffer } from "../catalog/select.ts";
import { isLeaving } from "./replica.ts";
import type { FleetSnapshot, ReplicaSnapshot } from "./snapshot.ts";

/** What is to be placed. */
export interface Placement {
  readonly recipe: Recipe;
  readonly profile: Profile;
  readonly runtime: RuntimeName;
}

export class Ledger {
  readonly #snapshot: FleetSnapshot;
  /** "runtime/gpu" of every GPU held or taken in this plan. */
  readonly #held = new Set<string>();
  /** Replicas stopped by this plan: their GPUs will come back. */
  readonly #doomed = new Set<string>();
  /** GPUs that will come back, and for which an earlier demand of this plan waits already. */
  readonly #claimed = new Set<string>();

  constructor(snapshot: FleetSnapshot) {
    this.#snapshot = snapshot;
    for (const replica of snapshot.replicas) {
      for (const gpu of replica.gpus) this.#held.add(key(replica.runtime, gpu));
    }
  }

  isFree(runtime: RuntimeName, gpu: string): boolean {
    return !this.#held.has(key(runtime, gpu));
  }

  /** GPUs to place it on now; empty when it needs none of ours to choose; undefined when there are too few free. */
  find(placement: Placement): readonly string[] | undefined {
    const needed = this.#needed(placement);
    const free = this.#suitable(placement).filter((gpu) => this.isFree(placement.runtime, gpu));
    return free.length < needed ? undefined : free.slice(0, needed);
  }

  take(runtime: RuntimeName, gpus: readonly string[]): void {
    for (const gpu of gpus) this.#held.add(key(runtime, gpu));
  }

  /** Keeps what is free, and what comes back, for a placement that waits, so that smaller ones do not overtake it for ever. */
  reserve(placement: Placement): void {
    const { runtime } = placement;
    const suitable = this.#suitable(placement);
    const free = suitable.filter((gpu) => this.isFree(runtime, gpu));
    const coming = this.#going(placement).flatMap(({ gpus }) => gpus.filter((gpu) => suitable.includes(gpu)));
    const claims = coming.filter((gpu) => !this.#claimed.has(key(runtime, gpu)));
    for (const gpu of claims.slice(0, this.missing(placement))) this.#claimed.add(key(runtime, gpu));
    this.take(runtime, free.slice(0, this.#needed(placement)));
  }

  doom(replica: string): void {
    this.#doomed.add(replica);
  }

  /** How many more suitable GPUs it needs than are free. */
  missing(placement: Placement): number {
    const free = this.#suitable(placement).filter((gpu) => this.isFree(placement.runtime, gpu));
    return this.#needed(placement) - free.length;
  }

  /** Suitable GPUs of replicas on their way out, which come back without anybody being evicted. */
  leaving(placement: Placement): { readonly gpus: number; readonly names: readonly string[] } {
    const going = this.#going(placement);
    return {
      gpus: sum(going.map((replica) => this.gain(replica, placement))),
      names: going.map((replica) => replica.name),
    };
  }

  /** How many GPUs that suit the placement the replica holds. */
  gain(replica: ReplicaSnapshot, placement: Placement): number {
    if (replica.runtime !== placement.runtime) return 0;
    const suitable = new Set(this.#suitable(placement));
    return replica.gpus.filter((gpu) => suitable.has(gpu) && !this.#claimed.has(key(replica.runtime, gpu))).length;
  }

  /** Whether there would be too few GPUs even if only these kept theirs. */
  short(placement: Placement, kept: readonly ReplicaSnapshot[]): boolean {
    const taken = sum(kept.map((replica) => this.gain(replica, placement)));
    return this.#suitable(placement).length - taken < this.#needed(placement);
  }

  /** "8 MI300X" */
  describe(placement: Placement): string {
    const suitable = new Set(this.#suitable(placement));
    const products = (this.#snapshot.runtimes.get(placement.runtime)?.gpus ?? [])
      .filter((gpu) => suitable.has(gpu.id))
      .map((gpu) => gpu.product);
    return `${products.length} ${[...new Set(products)].join("/") || "GPUs"}`;
  }

  /** Those that will give back GPUs it could use. */
  #going(placement: Placement): readonly ReplicaSnapshot[] {
    return this.#snapshot.replicas.filter(
      (replica) => (isLeaving(replica.state) || this.#doomed.has(replica.name)) && this.gain(replica, placement) > 0,
    );
  }

  #needed(placement: Placement): number {
    return this.#snapshot.runtimes.get(placement.runtime)?.placement === "gateway" ? placement.profile.gpus : 0;
  }

  /** The GPUs of one replica have to be alike: of the products that suit and suffice, the one with most free. */
  #suitable(placement: Placement): readonly string[] {
    const { recipe, runtime } = placement;
    const gpus = this.#snapshot.runtimes.get(runtime)?.gpus ?? [];
    const alike = Map.groupBy(gpus, (gpu) => gpu.product);
    const candidates = [...alike]
      .filter(([product, group]) => matchesHardware(recipe, product) && group.length >= this.#needed(placement))
      .map(([, group]) => ({ group, free: group.filter((gpu) => this.isFree(runtime, gpu.id)).length }))
      .sort((a, b) => b.free - a.free);
    return (candidates[0]?.group ?? []).map((gpu) => gpu.id);
  }
}

/** What every runtime has to offer for `select`, given what is free in the ledger. */
export function offersOf(snapshot: FleetSnapshot, ledger: Ledger): ReadonlyMap<RuntimeName, RuntimeOffer> {
  const entries = [...snapshot.runtimes].map(([name, runtime]): [RuntimeName, RuntimeOffer] => [
    name,
    {
      ...(runtime.unavailable === undefined ? {} : { unavailable: runtime.unavailable }),
      knowsGpus: runtime.placement === "gateway",
      gpus: runtime.gpus.map((gpu) => ({ product: gpu.product, free: ledger.isFree(name, gpu.id) })),
    },
  ]);
  return new Map(entries);
}

function key(runtime: RuntimeName, gpu: string): string {
  return `${runtime}/${gpu}`;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
