// What the graphics driver says of one AMD card. None of it is kept from a container that lacks the card's device nodes.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { parseCount, parseRenderMinor, readText } from "./files.ts";
import type { PciGpu } from "./pci.ts";

export interface AmdCard extends PciGpu {
  /** N of /dev/dri/renderDN; of a divided card the one of its first part. */
  readonly renderMinor?: number;
  /** The kernel's name for it, often none. */
  readonly name?: string;
  readonly memoryBytes?: number;
  readonly usedBytes?: number;
  /** "CPX/NPS4"; absent: a whole card. */
  readonly partition?: string;
}

export async function readCard(gpu: PciGpu): Promise<AmdCard> {
  const [nodes, name, memory, used, compute, banks] = await Promise.all([
    readdir(join(gpu.folder, "drm")).catch(() => []),
    readText(gpu.folder, "product_name"),
    readText(gpu.folder, "mem_info_vram_total"),
    readText(gpu.folder, "mem_info_vram_used"),
    readText(gpu.folder, "current_compute_partition"),
    readText(gpu.folder, "current_memory_partition"),
  ]);
  const renderMinor = nodes.map(parseRenderMinor).find((minor) => minor !== undefined);
  // A card without memory is one that could not be asked.
  const memoryBytes = parseCount(memory) || undefined;
  const usedBytes = parseCount(used);
  const partition = partitionOf(compute, banks);
  return {
    ...gpu,
    ...(renderMinor === undefined ? {} : { renderMinor }),
    ...(name === undefined || name === "" ? {} : { name }),
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
    ...(usedBytes === undefined ? {} : { usedBytes }),
    ...(partition === undefined ? {} : { partition }),
  };
}

/** SPX is one part, hence no partition; cards that cannot be divided have no such files. */
function partitionOf(compute: string | undefined, memory: string | undefined): string | undefined {
  if (compute === undefined || compute === "SPX" || !/^[A-Z]PX$/.test(compute)) return undefined;
  return memory !== undefined && /^NPS\d$/.test(memory) ? `${compute}/${memory}` : compute;
}
