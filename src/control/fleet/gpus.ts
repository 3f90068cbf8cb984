// Whether a GPU can be given out. What is kept here are only memories: how much of it is usually in use, and what was given
// back lately. Whether it is free is derived from them, the last reading, and who holds it.
//
//   free         nobody holds it and no more of its memory is in use than usual
//   held         a replica that is not gone holds it
//   recovering   a replica is gone or has fallen asleep, and its memory has not been seen free since; for `recoveryMs` at most
//   quarantined  its memory did not come back in that time; until it does, or an operator releases it
//   foreign      somebody else uses it
//   unusable     it cannot be read or opened
//
// Of a GPU that sleepers hold, or several replicas share, nobody expects all of the memory back: `heldShare` is how much of it
// those who hold it may use, beside what is usually in use.
import type { RuntimeName } from "../../catalog/recipe.ts";
import { formatDuration, formatSize } from "../../lib/units.ts";
import type { Gpu } from "../../runtime/driver.ts";
import type { Replica } from "../replica.ts";

/** Why a GPU, or what others of ours leave of it, cannot be given out. */
export interface GpuBlock {
  readonly status: "recovering" | "quarantined" | "foreign" | "unusable";
  readonly reason: string;
}

/** What changed for a GPU with a reading. */
export interface GpuChange {
  readonly gpu: string;
  readonly kind: "recovered" | "quarantined" | "returned" | "released";
  readonly reason: string;
}

interface Memory {
  /** How much was in use when that could last be read. */
  lastBytes: number | undefined;
  /** Least that was ever seen in use while nobody of ours held it. */
  baselineBytes: number | undefined;
  /** Given back, all of it or by one that fell asleep, and not seen free since. */
  released: { readonly at: number; readonly after: string } | undefined;
  quarantined: string | undefined;
}

type Readings = ReadonlyMap<RuntimeName, { readonly gpus: readonly Gpu[] }>;
type Holder = Pick<Replica, "state" | "residualShare" | "identity">;
type Leaver = Pick<Replica, "name" | "state" | "failureCause" | "identity">;

/** The cause of a failed start whose GPUs another gateway had taken first. */
const GPU_TAKEN = "gpu_taken";
const GIB = 2 ** 30;
/** What drivers and firmware keep for themselves on an idle GPU: about 300 MB on an MI300X, up to 6 % on a partition. */
const IDLE_SHARE = 0.1;
/** What a sleeper is taken to keep whose GPUs were not seen with it alone. */
export const ASSUMED_RESIDUAL = 0.15;
/** What an engine that is told to keep to a share takes beside it: captured graphs, libraries. */
const BESIDE_SHARE = 0.03;

export class GpuBook {
  readonly #recoveryMs: number;
  readonly #memories = new Map<RuntimeName, Map<string, Memory>>();

  constructor(options: { readonly recoveryMs: number }) {
    this.#recoveryMs = options.recoveryMs;
  }

  /**
   * A replica is gone, or asleep. From now on its GPUs are not free before a reading says so: those whose memory was ever
   * read, and those it never got because somebody else had taken them. True where there are such.
   */
  giveBack({ name, state, failureCause, identity }: Leaver, runtimes: Readings, now: number): boolean {
    const { runtime, gpus } = identity;
    const readable = new Set(
      (runtimes.get(runtime)?.gpus ?? []).filter(({ usedBytes }) => usedBytes !== undefined).map(({ id }) => id),
    );
    const isDoubtful = (gpu: string) => readable.has(gpu) || this.#memory(runtime, gpu).lastBytes !== undefined;
    const doubtful = gpus.filter((gpu) => failureCause === GPU_TAKEN || isDoubtful(gpu));
    const after = `${name} was ${state === "sleeping" ? "put to sleep" : "stopped"}`;
    for (const gpu of doubtful) this.#memory(runtime, gpu).released = { at: now, after };
    return doubtful.length > 0;
  }

  /** A reading that was asked for at `askedAt`; for `heldShare` see the function of that name. */
  observe(
    runtime: RuntimeName,
    gpus: readonly Gpu[],
    reading: { readonly askedAt: number; heldShare(gpu: string): number },
  ): readonly GpuChange[] {
    const changes = gpus.flatMap((gpu) => {
      const memory = this.#memory(runtime, gpu.id);
      if (gpu.usedBytes !== undefined) memory.lastBytes = gpu.usedBytes;
      const share = reading.heldShare(gpu.id);
      if (share < 1) return this.#read(gpu, memory, { askedAt: reading.askedAt, heldShare: share }) ?? [];
      // All of it may be used by those who hold it: what others left on it cannot be told, and is looked for after them.
      memory.released = undefined;
      return [];
    });
    return [...changes, ...this.#missVanished(runtime, gpus, reading.askedAt)];
  }

  /** Why what those of ours leave of it who hold it cannot be given out; undefined when it can. */
  block(runtime: RuntimeName, gpu: Gpu, heldShare: number): GpuBlock | undefined {
    const memory = this.#memories.get(runtime)?.get(gpu.id) ?? NOTHING;
    if (gpu.unusable !== undefined) return { status: "unusable", reason: gpu.unusable };
    if (memory.quarantined !== undefined) return { status: "quarantined", reason: memory.quarantined };
    if (memory.released !== undefined) {
      return { status: "recovering", reason: `waiting for its memory after ${memory.released.after}` };
    }
    if (gpu.foreign !== undefined) return { status: "foreign", reason: `in use by ${gpu.foreign}` };
    const { memoryBytes, usedBytes = memory.lastBytes ?? 0 } = gpu;
    if (isQuiet({ memoryBytes, usedBytes }, memory, heldShare)) return undefined;
    return {
      status: "foreign",
      reason: `${formatSize(usedBytes)} of its memory are in use by something that this gateway did not start`,
    };
  }

  /** Whether one of the runtime's GPUs was given back and has not been seen free yet. */
  isRecovering(runtime: RuntimeName): boolean {
    return [...this.#memoriesOf(runtime).values()].some(({ released }) => released !== undefined);
  }

  /** An operator's word: what is in use on it now beside the share of those who hold it is its usual amount. */
  forgive(runtime: RuntimeName, { id, usedBytes, memoryBytes }: Gpu, share: number): void {
    const baselineBytes = Math.max(0, (usedBytes ?? 0) - memoryBytes * share);
    this.#memoriesOf(runtime).set(id, usedBytes === undefined ? { ...NOTHING } : { ...NOTHING, baselineBytes });
  }

  baselineBytes(runtime: RuntimeName, gpu: string): number | undefined {
    return this.#memories.get(runtime)?.get(gpu)?.baselineBytes;
  }

  #read(
    gpu: Gpu,
    memory: Memory,
    { askedAt, heldShare }: { readonly askedAt: number; readonly heldShare: number },
  ): GpuChange | undefined {
    const { released, quarantined } = memory;
    if (released !== undefined && askedAt <= released.at) return undefined;
    // Somebody else took it meanwhile: what is in use there is not ours any more.
    if (gpu.foreign !== undefined) {
      memory.released = undefined;
      return undefined;
    }
    const { usedBytes } = gpu;
    // What cannot be read now is not free because of it.
    if (usedBytes === undefined && memory.lastBytes !== undefined)
      return this.#overdue(gpu.id, memory, { now: askedAt, what: "its memory cannot be read" });
    if (!isQuiet(gpu, memory, heldShare)) {
      const what = `${formatSize(usedBytes ?? 0)} of its memory are still in use`;
      return this.#overdue(gpu.id, memory, { now: askedAt, what });
    }
    if (usedBytes !== undefined && heldShare === 0)
      memory.baselineBytes = Math.min(memory.baselineBytes ?? usedBytes, usedBytes);
    memory.released = undefined;
    memory.quarantined = undefined;
    if (quarantined !== undefined) return { gpu: gpu.id, kind: "returned", reason: "its memory came back" };
    return released === undefined ? undefined : { gpu: gpu.id, kind: "recovered", reason: "its memory is free again" };
  }

  /** Those that are not listed any more are not waited for without end. */
  #missVanished(runtime: RuntimeName, gpus: readonly Gpu[], now: number): readonly GpuChange[] {
    // Each that is listed is remembered by now.
    const memories = this.#memoriesOf(runtime);
    if (memories.size === gpus.length) return [];
    const listed = new Set(gpus.map(({ id }) => id));
    const what = "it has vanished; its memory was not seen free";
    return [...memories].flatMap(([gpu, memory]) =>
      listed.has(gpu) ? [] : (this.#overdue(gpu, memory, { now, what }) ?? []),
    );
  }

  /** Given back too long ago: it is quarantined, with what is known of it. */
  #overdue(gpu: string, memory: Memory, { now, what }: { now: number; what: string }): GpuChange | undefined {
    const { released } = memory;
    if (released === undefined || now - released.at < this.#recoveryMs) return undefined;
    const reason = `${what} ${formatDuration(this.#recoveryMs)} after ${released.after}`;
    memory.released = undefined;
    memory.quarantined = reason;
    return { gpu, kind: "quarantined", reason };
  }

  #memory(runtime: RuntimeName, gpu: string): Memory {
    const memories = this.#memoriesOf(runtime);
    const known = memories.get(gpu);
    if (known !== undefined) return known;
    const fresh = { ...NOTHING };
    memories.set(gpu, fresh);
    return fresh;
  }

  #memoriesOf(runtime: RuntimeName): Map<string, Memory> {
    const known = this.#memories.get(runtime);
    if (known !== undefined) return known;
    const fresh = new Map<string, Memory>();
    this.#memories.set(runtime, fresh);
    return fresh;
  }
}

const NOTHING: Readonly<Memory> = {
  lastBytes: undefined,
  baselineBytes: undefined,
  released: undefined,
  quarantined: undefined,
};

/** Whether no more of its memory is in use than usual and by those who hold it; one that could never be read is believed. */
function isQuiet(
  { usedBytes, memoryBytes }: Pick<Gpu, "usedBytes" | "memoryBytes">,
  { baselineBytes }: Readonly<Memory>,
  heldShare: number,
): boolean {
  if (usedBytes === undefined) return true;
  return usedBytes <= (baselineBytes ?? 0) + sparedBytes({ memoryBytes }, baselineBytes) + memoryBytes * heldShare;
}

/** How much more than its usual amount may be in use of a GPU without meaning that somebody uses it. */
export function sparedBytes({ memoryBytes }: Pick<Gpu, "memoryBytes">, baselineBytes: number | undefined): number {
  return baselineBytes === undefined ? memoryBytes * IDLE_SHARE : Math.max(GIB, memoryBytes * 0.02);
}

/** How much of the memory of a GPU those who hold it may use: what sleepers keep, and the shares of the others. */
export function heldShare(holders: readonly Holder[]): number {
  let sum = 0;
  for (const { state, residualShare = ASSUMED_RESIDUAL, identity } of holders) {
    if (state === "sleeping") sum += residualShare;
    else sum += identity.gpuFraction === undefined ? 1 : identity.gpuFraction + BESIDE_SHARE;
  }
  return sum;
}

/** Names a GPU among those of all runtimes. */
export function gpuKey(runtime: RuntimeName, gpu: string): string {
  return `${runtime}/${gpu}`;
}
