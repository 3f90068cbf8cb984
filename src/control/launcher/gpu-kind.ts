// What kind of GPUs a replica holds: those of one replica are alike.
import type { GpuKind } from "../../catalog/launch-spec.ts";
import type { Gpu } from "../../runtime/driver.ts";

/** Undefined without GPUs, and where the runtime does not list them. */
export function gpuKindOf(known: readonly Gpu[], ids: readonly string[]): GpuKind | undefined {
  const gpu = known.find(({ id }) => id === ids[0]);
  if (gpu === undefined) return undefined;
  return { vendor: gpu.vendor, ...(gpu.arch === undefined ? {} : { arch: gpu.arch }) };
}
