// One GPU in words and plain data, for operators and metrics.
import type { Metrics } from "../../telemetry/metrics.ts";
import type { GpuStatus } from "../fleet/fleet-view.ts";

export interface GpuOverview {
  readonly id: string;
  readonly number: number;
  readonly runtime: string;
  readonly product: string;
  readonly arch?: string;
  readonly partition?: string;
  readonly numaNode?: number;
  readonly status: GpuStatus["status"];
  readonly reason?: string;
  readonly memoryBytes: number;
  readonly usedBytes?: number;
  readonly replica?: string;
  readonly model?: string;
  readonly holders: readonly Holding[];
}

interface Holding {
  readonly replica: string;
  readonly model: string;
  readonly state: string;
  readonly share: number;
}

export function overviewOf({ runtime, number, gpu, status, reason, holder, holders }: GpuStatus): GpuOverview {
  const { id, product, arch, partition, numaNode, memoryBytes, usedBytes } = gpu;
  return {
    id,
    number,
    runtime,
    product,
    ...(arch === undefined ? {} : { arch }),
    ...(partition === undefined ? {} : { partition }),
    ...(numaNode === undefined ? {} : { numaNode }),
    status,
    ...(reason === undefined ? {} : { reason }),
    memoryBytes,
    ...(usedBytes === undefined ? {} : { usedBytes }),
    ...(holder === undefined ? {} : { replica: holder.name, model: holder.model }),
    holders: holders.map(({ name, model, state, identity }) => ({
      replica: name,
      model,
      state,
      share: identity.gpuFraction ?? 1,
    })),
  };
}

/** What cannot be read is left out rather than told as 0. */
export function measureGpu({ gpu, holders, status, baselineBytes }: GpuStatus, metrics: Metrics): void {
  if (holders.length === 0) metrics.gpus.set({ gpu: gpu.id, model: "" }, 0);
  for (const { model } of holders) metrics.gpus.set({ gpu: gpu.id, model }, 1);
  metrics.gpuQuarantined.set({ gpu: gpu.id }, status === "quarantined" ? 1 : 0);
  const memory = { total: gpu.memoryBytes, used: gpu.usedBytes, baseline: baselineBytes };
  for (const [kind, bytes] of Object.entries(memory)) {
    if (bytes !== undefined) metrics.gpuMemory.set({ gpu: gpu.id, kind }, bytes);
  }
}
