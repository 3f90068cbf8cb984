// What a replica has of the memory of its GPUs, and what of it stays when it sleeps: judged from readings. Pure.
import type { Gpu } from "../../runtime/driver.ts";
import { ASSUMED_RESIDUAL, heldShare, sparedBytes } from "../fleet/gpus.ts";
import type { Replica } from "../replica.ts";

/** One of its GPUs as a reading shows it, and who is on it. */
export interface Sight {
  readonly gpu: Gpu;
  /** What is in use of it when nobody holds it; undefined before that was seen. */
  readonly baselineBytes: number | undefined;
  /** The others that hold it. */
  readonly others: readonly Replica[];
}

/** A GPU that the replica sleeps on. */
interface Bed {
  readonly gpu: Gpu;
  /** In use by whomever before it fell asleep. */
  readonly usedBytes: number;
  /** In use by the replica before it fell asleep. */
  readonly hadBytes: number;
  /** No more than the driver may have in use for itself. */
  readonly isSmall: boolean;
  /** In use by the replica now; undefined before that was seen. */
  leftBytes: number | undefined;
}

/** Follows the memory of a replica's GPUs while it falls asleep. Those that cannot be read are believed. */
export class MemoryDrop {
  readonly #beds: ReadonlyMap<string, Bed>;

  /** `awake` is a reading from before. */
  constructor(replica: Replica, awake: readonly Sight[]) {
    const beds = awake.flatMap((sight): readonly [string, Bed][] => {
      const { gpu, baselineBytes } = sight;
      if (gpu.usedBytes === undefined) return [];
      const hadBytes = hadOf(replica, sight);
      const isSmall = hadBytes <= sparedBytes(gpu, baselineBytes);
      return [[gpu.id, { gpu, usedBytes: gpu.usedBytes, hadBytes, isSmall, leftBytes: undefined }]];
    });
    this.#beds = new Map(beds);
  }

  /** `full`: less than half of what it had is back somewhere; `settled`: what is to come back is back. */
  look(gpus: readonly Gpu[]): "full" | "dropping" | "settled" {
    let state: "full" | "dropping" | "settled" = "settled";
    for (const { id, usedBytes } of gpus) {
      const bed = this.#beds.get(id);
      if (bed === undefined || usedBytes === undefined) continue;
      const before = bed.leftBytes ?? bed.hadBytes;
      const left = Math.max(0, bed.hadBytes - Math.max(0, bed.usedBytes - usedBytes));
      bed.leftBytes = left;
      if (bed.isSmall) continue;
      if (left > bed.hadBytes / 2) state = "full";
      else if (state === "settled" && before - left > sparedBytes(bed.gpu, 0)) state = "dropping";
    }
    return state;
  }

  /** The largest share of a GPU's memory that stays in use; undefined where that was not seen. */
  get residualShare(): number | undefined {
    const seen = this.#seen();
    return seen.length === 0 ? undefined : Math.max(...seen.map(({ gpu, left }) => left / gpu.memoryBytes));
  }

  /** What it gave back of all its GPUs; undefined where that was not seen. */
  get freedBytes(): number | undefined {
    const seen = this.#seen();
    return seen.length === 0 ? undefined : seen.reduce((sum, { hadBytes, left }) => sum + hadBytes - left, 0);
  }

  #seen(): readonly (Bed & { readonly left: number })[] {
    return [...this.#beds.values()].flatMap((bed) =>
      bed.leftBytes === undefined ? [] : [{ ...bed, left: bed.leftBytes }],
    );
  }
}

/** What stays of one that was found asleep: all that is in use, unless others are at it who do not sleep. */
export function residualOf(sights: readonly Sight[]): number | undefined {
  const shares = sights.flatMap(({ gpu, baselineBytes = 0, others }): readonly number[] => {
    if (gpu.usedBytes === undefined) return [];
    if (others.some(({ state }) => state !== "sleeping")) return [ASSUMED_RESIDUAL];
    return [Math.max(0, (gpu.usedBytes - baselineBytes) / gpu.memoryBytes - heldShare(others))];
  });
  return shares.length === 0 ? undefined : Math.max(...shares);
}

/** Sharers that are awake cannot be told apart but by their shares. */
function hadOf(replica: Replica, { gpu, baselineBytes = 0, others }: Sight): number {
  const asleep = others.filter(({ state }) => state === "sleeping");
  const sharers = others.filter(({ state }) => state !== "sleeping");
  const share = shareOf(replica);
  const bytes = (gpu.usedBytes ?? 0) - baselineBytes - heldShare(asleep) * gpu.memoryBytes;
  return (Math.max(0, bytes) * share) / sharers.reduce((sum, sharer) => sum + shareOf(sharer), share);
}

function shareOf({ identity }: Replica): number {
  return identity.gpuFraction ?? 1;
}
