// Whether a GPU can be given out. What is kept here are only memories: how much of it is usually in use, and what was given
// back lately. Whether it is free is derived from them, the last reading, and who holds it.
//
//   free         nobody holds it and no more of its memory is in use than usual
//   held         a replica that is not gone holds it
//   recovering   its replica is gone, and its memory has not been seen free since; for `recoveryMs` at most
//   quarantined  its memory did not come back in that time; until it does, or an operator releases it
//   foreign      somebody else uses it
//   unusable     it cannot be read or opened
import type { RuntimeName } from "../../catalog/recipe.ts";
import { formatDuration, formatSize } from "../../lib/units.ts";
import type { Gpu } from "../../runtime/driver.ts";
import type { Replica } from "../replica.ts";

/** A GPU that nobody of ours holds and that can still not be given out. */
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
  lastBytes?: number;
  /** Least that was ever seen in use while nobody of ours held it. */
  baselineBytes?: number;
  /** Given back, and not seen free since. */
  released?: { readonly at: number; readonly by: string };
  quarantined?: string;
}

type Readings = ReadonlyMap<RuntimeName, { readonly gpus: readonly Gpu[] }>;
type Leaver = Pick<Replica, "name" | "failureCause" | "identity">;

/** The cause of a failed start whose GPUs another gateway had taken first. */
const GPU_TAKEN = "gpu_taken";
const GIB = 2 ** 30;
/** What drivers and firmware keep for themselves on an idle GPU: about 300 MB on an MI300X, up to 6 % on a partition. */
const IDLE_SHARE = 0.1;

export class GpuBook {
  readonly #recoveryMs: number;
  readonly #memories = new Map<string, Memory>();

  constructor(options: { readonly recoveryMs: number }) {
    this.#recoveryMs = options.recoveryMs;
  }

  /**
   * A replica is gone. From now on its GPUs are not free before a reading says so: those whose memory was ever read, and
   * those it never got because somebody else had taken them. True where there are such.
   */
  giveBack({ name, failureCause, identity }: Leaver, runtimes: Readings, now: number): boolean {
    const { runtime, gpus } = identity;
    const readable = new Set(
      (runtimes.get(runtime)?.gpus ?? []).filter(({ usedBytes }) => usedBytes !== undefined).map(({ id }) => id),
    );
    const isDoubtful = (gpu: string) => readable.has(gpu) || this.#memory(runtime, gpu).lastBytes !== undefined;
    const doubtful = gpus.filter((gpu) => failureCause === GPU_TAKEN || isDoubtful(gpu));
    for (const gpu of doubtful) this.#memory(runtime, gpu).released = { at: now, by: name };
    return doubtful.length > 0;
  }

  /** A reading that was asked for at `askedAt`; `isHeld` tells whether a replica holds the GPU now. */
  observe(
    runtime: RuntimeName,
    gpus: readonly Gpu[],
    reading: { readonly askedAt: number; isHeld(gpu: string): boolean },
  ): readonly GpuChange[] {
    const changes = gpus.flatMap((gpu) => {
      const memory = this.#memory(runtime, gpu.id);
      if (gpu.usedBytes !== undefined) memory.lastBytes = gpu.usedBytes;
      if (reading.isHeld(gpu.id)) return [];
      return this.#read(gpu, memory, reading.askedAt) ?? [];
    });
    return [...changes, ...this.#missVanished(runtime, new Set(gpus.map(({ id }) => id)), reading.askedAt)];
  }

  /** Why it cannot be given out although nobody of ours holds it; undefined when it can. */
  block(runtime: RuntimeName, gpu: Gpu): GpuBlock | undefined {
    const memory = this.#memories.get(gpuKey(runtime, gpu.id)) ?? {};
    if (gpu.unusable !== undefined) return { status: "unusable", reason: gpu.unusable };
    if (memory.quarantined !== undefined) return { status: "quarantined", reason: memory.quarantined };
    if (memory.released !== undefined) {
      return { status: "recovering", reason: `waiting for its memory after ${memory.released.by} was stopped` };
    }
    if (gpu.foreign !== undefined) return { status: "foreign", reason: `in use by ${gpu.foreign}` };
    const usedBytes = gpu.usedBytes ?? memory.lastBytes ?? 0;
    if (isQuiet({ ...gpu, usedBytes }, memory)) return undefined;
    return {
      status: "foreign",
      reason: `${formatSize(usedBytes)} of its memory are in use by something that this gateway did not start`,
    };
  }

  /** Whether one of the runtime's GPUs was given back and has not been seen free yet. */
  isRecovering(runtime: RuntimeName): boolean {
    return [...this.#memories].some(
      ([id, { released }]) => id.startsWith(gpuKey(runtime, "")) && released !== undefined,
    );
  }

  /** An operator's word: what is in use on it now is its usual amount. */
  forgive(runtime: RuntimeName, gpu: Gpu): void {
    const { usedBytes } = gpu;
    this.#memories.set(gpuKey(runtime, gpu.id), usedBytes === undefined ? {} : { baselineBytes: usedBytes });
  }

  baselineBytes(runtime: RuntimeName, gpu: string): number | undefined {
    return this.#memories.get(gpuKey(runtime, gpu))?.baselineBytes;
  }

  #read(gpu: Gpu, memory: Memory, askedAt: number): GpuChange | undefined {
    const { released, quarantined } = memory;
    if (released !== undefined && askedAt < released.at) return undefined;
    // Somebody else took it meanwhile: what is in use there is not ours any more.
    if (gpu.foreign !== undefined) return void delete memory.released;
    const { usedBytes } = gpu;
    // What cannot be read now is not free because of it.
    if (usedBytes === undefined && memory.lastBytes !== undefined)
      return this.#overdue(gpu.id, memory, { now: askedAt, what: "its memory cannot be read" });
    if (!isQuiet(gpu, memory)) {
      const what = `${formatSize(usedBytes ?? 0)} of its memory are still in use`;
      return this.#overdue(gpu.id, memory, { now: askedAt, what });
    }
    if (usedBytes !== undefined) memory.baselineBytes = Math.min(memory.baselineBytes ?? usedBytes, usedBytes);
    delete memory.released;
    delete memory.quarantined;
    if (quarantined !== undefined) return { gpu: gpu.id, kind: "returned", reason: "its memory came back" };
    return released === undefined ? undefined : { gpu: gpu.id, kind: "recovered", reason: "its memory is free again" };
  }

  /** Those that are not listed any more are not waited for without end. */
  #missVanished(runtime: RuntimeName, listed: ReadonlySet<string>, now: number): readonly GpuChange[] {
    const prefix = gpuKey(runtime, "");
    return [...this.#memories].flatMap(([id, memory]) => {
      const gpu = id.slice(prefix.length);
      if (!id.startsWith(prefix) || listed.has(gpu)) return [];
      return this.#overdue(gpu, memory, { now, what: "it has vanished; its memory was not seen free" }) ?? [];
    });
  }

  /** Given back too long ago: it is quarantined, with what is known of it. */
  #overdue(gpu: string, memory: Memory, { now, what }: { now: number; what: string }): GpuChange | undefined {
    const { released } = memory;
    if (released === undefined || now - released.at < this.#recoveryMs) return undefined;
    const reason = `${what} ${formatDuration(this.#recoveryMs)} after ${released.by} was stopped`;
    delete memory.released;
    memory.quarantined = reason;
    return { gpu, kind: "quarantined", reason };
  }

  #memory(runtime: RuntimeName, gpu: string): Memory {
    const id = gpuKey(runtime, gpu);
    const known = this.#memories.get(id);
    if (known !== undefined) return known;
    const fresh: Memory = {};
    this.#memories.set(id, fresh);
    return fresh;
  }
}

/** Whether no more of its memory is in use than usual; one whose memory could never be read is believed. */
function isQuiet({ usedBytes, memoryBytes }: Gpu, { baselineBytes }: Memory): boolean {
  if (usedBytes === undefined) return true;
  if (baselineBytes === undefined) return usedBytes <= memoryBytes * IDLE_SHARE;
  return usedBytes <= baselineBytes + Math.max(GIB, memoryBytes * 0.02);
}

/** Names a GPU among those of all runtimes. */
export function gpuKey(runtime: RuntimeName, gpu: string): string {
  return `${runtime}/${gpu}`;
}
