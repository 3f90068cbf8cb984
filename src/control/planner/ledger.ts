// Who holds which GPU, and which are free: derived from the replicas and from what is known of each GPU, never stored.
import type { Profile, Recipe, RuntimeName } from "../../catalog/recipe.ts";
import { likenessOf, matchesHardware, type RuntimeOffer } from "../../catalog/select.ts";
import type { Gpu } from "../../runtime/driver.ts";
import { gpuKey, type GpuBlock } from "../fleet/gpus.ts";
import { place, type Place } from "./placement.ts";
import { isLeaving } from "../replica.ts";
import type { FleetSnapshot, ReplicaSnapshot } from "../snapshot.ts";

/** What is to be placed. */
export interface Placement {
  readonly recipe: Recipe;
  readonly profile: Profile;
  readonly runtime: RuntimeName;
  /** On these GPUs and no others. */
  readonly on?: readonly string[];
}

/** GPUs that are alike. */
interface Kind {
  readonly gpus: readonly Gpu[];
  readonly ids: ReadonlySet<string>;
}

const NO_KIND: Kind = { gpus: [], ids: new Set() };

export class Ledger {
  readonly #snapshot: FleetSnapshot;
  /** Every GPU held or taken in this plan. */
  readonly #held = new Set<string>();
  /** Replicas stopped by this plan: their GPUs will come back. */
  readonly #doomed = new Set<string>();
  /** GPUs that will come back, and for which an earlier demand of this plan waits already. */
  readonly #claimed = new Set<string>();
  /** Asked for again and again while room is sought among many replicas. */
  readonly #kinds = new Map<RuntimeName, readonly Kind[]>();
  readonly #candidates = new WeakMap<Placement, readonly Kind[]>();

  constructor(snapshot: FleetSnapshot) {
    this.#snapshot = snapshot;
    for (const replica of snapshot.replicas) {
      for (const gpu of replica.gpus) this.#held.add(gpuKey(replica.runtime, gpu));
    }
  }

  /** Nobody holds it, and nothing else keeps it from being given out. */
  isFree(runtime: RuntimeName, gpu: string): boolean {
    const key = gpuKey(runtime, gpu);
    return !this.#held.has(key) && !this.#snapshot.blocks.has(key);
  }

  /** Where to place it now; undefined when too few GPUs are free. */
  find(placement: Placement): Place | undefined {
    return place(this.#free(placement), this.#needed(placement));
  }

  take(runtime: RuntimeName, gpus: readonly string[]): void {
    for (const gpu of gpus) this.#held.add(gpuKey(runtime, gpu));
  }

  /** Keeps what is free, and what comes back, for a placement that waits, so that smaller ones do not overtake it for ever. */
  reserve(placement: Placement): void {
    const { runtime } = placement;
    const { gpus } = this.coming(placement);
    for (const gpu of gpus.slice(0, this.missing(placement))) this.#claimed.add(gpuKey(runtime, gpu));
    const free = this.#free(placement).map(({ id }) => id);
    this.take(runtime, free.slice(0, this.#needed(placement)));
  }

  doom(replica: string): void {
    this.#doomed.add(replica);
  }

  /** How many more suitable GPUs it needs than are free. */
  missing(placement: Placement): number {
    return this.#needed(placement) - this.#free(placement).length;
  }

  /** Suitable GPUs that come back without anybody being evicted, and from whom. */
  coming(placement: Placement): { readonly gpus: readonly string[]; readonly names: readonly string[] } {
    const { runtime } = placement;
    const leaving = this.#snapshot.replicas.filter(
      (replica) =>
        !replica.stuck &&
        (isLeaving(replica.state) || this.#doomed.has(replica.name)) &&
        this.gain(replica, placement) > 0,
    );
    const suitable = this.#suitable(placement).ids;
    const recovering = [...suitable].filter((gpu) => this.#block(runtime, gpu)?.status === "recovering");
    const gpus = [...leaving.flatMap((replica) => replica.gpus.filter((gpu) => suitable.has(gpu))), ...recovering];
    return {
      gpus: gpus.filter((gpu) => !this.#claimed.has(gpuKey(runtime, gpu))),
      names: [...leaving.map(({ name }) => name), ...recovering.map((gpu) => `the memory of GPU ${gpu}`)],
    };
  }

  /** How many GPUs that suit the placement the replica holds. */
  gain(replica: ReplicaSnapshot, placement: Placement): number {
    if (replica.runtime !== placement.runtime) return 0;
    const suitable = this.#suitable(placement).ids;
    return replica.gpus.filter((gpu) => suitable.has(gpu) && !this.#claimed.has(gpuKey(replica.runtime, gpu))).length;
  }

  /** Whether there would be too few GPUs even if only these kept theirs. */
  short(placement: Placement, kept: readonly ReplicaSnapshot[]): boolean {
    const taken = kept.reduce((sum, replica) => sum + this.gain(replica, placement), 0);
    return this.#suitable(placement).gpus.length - taken < this.#needed(placement);
  }

  /** "8 MI300X (4 held by first-1, 4 by second-1)" */
  describe(placement: Placement): string {
    const { gpus, ids } = this.#suitable(placement);
    const names = [...new Set(gpus.map(({ product }) => product))].join("/") || "GPUs";
    const holders = this.#snapshot.replicas
      .map((replica) => ({ name: replica.name, count: replica.gpus.filter((id) => ids.has(id)).length }))
      .filter(({ count }) => count > 0)
      .map(({ name, count }, index) => `${count} ${index === 0 ? "held by" : "by"} ${name}`);
    return `${gpus.length} ${names}${holders.length === 0 ? "" : ` (${holders.join(", ")})`}`;
  }

  #needed({ runtime, profile }: Placement): number {
    return this.#snapshot.runtimes.get(runtime)?.placement === "gateway" ? profile.gpus : 0;
  }

  #free(placement: Placement): readonly Gpu[] {
    return this.#freeOf(placement.runtime, this.#suitable(placement));
  }

  #freeOf(runtime: RuntimeName, { gpus }: Kind): readonly Gpu[] {
    return gpus.filter(({ id }) => this.isFree(runtime, id));
  }

  /** The GPUs of one replica have to be alike: of the kinds that suit and suffice, the one with most free. */
  #suitable(placement: Placement): Kind {
    const [only = NO_KIND, ...others] = this.#candidatesOf(placement);
    if (others.length === 0) return only;
    const free = (kind: Kind) => this.#freeOf(placement.runtime, kind).length;
    return [only, ...others].reduce((best, kind) => (free(kind) > free(best) ? kind : best));
  }

  /** The kinds that suit it and of which there are enough. */
  #candidatesOf(placement: Placement): readonly Kind[] {
    const known = this.#candidates.get(placement);
    if (known !== undefined) return known;
    const { recipe, runtime, on } = placement;
    const kinds = this.#kindsOf(runtime).map(({ gpus }) => kindOf(gpus.filter(({ id }) => on?.includes(id) ?? true)));
    const candidates = kinds.filter(
      ({ gpus }) =>
        gpus.length >= this.#needed(placement) && gpus.slice(0, 1).some((first) => matchesHardware(recipe, first)),
    );
    this.#candidates.set(placement, candidates);
    return candidates;
  }

  #kindsOf(runtime: RuntimeName): readonly Kind[] {
    const known = this.#kinds.get(runtime);
    if (known !== undefined) return known;
    const kinds = [...Map.groupBy(usableGpus(this.#snapshot, runtime), likenessOf).values()].map(kindOf);
    this.#kinds.set(runtime, kinds);
    return kinds;
  }

  #block(runtime: RuntimeName, gpu: string): GpuBlock | undefined {
    return this.#snapshot.blocks.get(gpuKey(runtime, gpu));
  }
}

/** What every runtime has to offer for `select`, given what is free in the ledger. */
export function offersOf(snapshot: FleetSnapshot, ledger: Ledger): ReadonlyMap<RuntimeName, RuntimeOffer> {
  const entries = [...snapshot.runtimes].map(([name, runtime]): [RuntimeName, RuntimeOffer] => [
    name,
    {
      ...(runtime.unavailable === undefined ? {} : { unavailable: runtime.unavailable }),
      knowsGpus: runtime.placement === "gateway",
      gpus: usableGpus(snapshot, name).map((gpu) => ({ ...gpu, free: ledger.isFree(name, gpu.id) })),
    },
  ]);
  return new Map(entries);
}

/** GPUs that would suit one of the recipes if they could be given out, each with the reason why it cannot. */
export function unusableFor(snapshot: FleetSnapshot, recipes: readonly Recipe[]): readonly string[] {
  const all = recipes.flatMap((recipe) => {
    const runtime = recipe.runtime ?? snapshot.defaultRuntime;
    const gpus = snapshot.runtimes.get(runtime)?.gpus ?? [];
    return gpus.flatMap((gpu) => {
      const block = snapshot.blocks.get(gpuKey(runtime, gpu.id));
      if (block === undefined || block.status === "recovering" || !matchesHardware(recipe, gpu)) return [];
      return [`GPU ${gpu.id} is ${block.status}: ${block.reason}`];
    });
  });
  return [...new Set(all)];
}

/** Those that are, or will be, ours to give out. */
function usableGpus({ runtimes, blocks }: FleetSnapshot, runtime: RuntimeName): readonly Gpu[] {
  return (runtimes.get(runtime)?.gpus ?? []).filter(({ id }) => {
    const block = blocks.get(gpuKey(runtime, id));
    return block === undefined || block.status === "recovering";
  });
}

function kindOf(gpus: readonly Gpu[]): Kind {
  return { gpus, ids: new Set(gpus.map(({ id }) => id)) };
}
