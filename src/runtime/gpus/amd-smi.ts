// What `amd-smi list --json` and `amd-smi metric -m --json` say, in the forms of ROCm 6 and 7. Pure.
import { parseRenderMinor } from "./files.ts";
import { parseAddress } from "./pci.ts";
import { bytesOf, isRecord, jsonIn, type ToldGpu } from "./told.ts";

/** The two outputs count GPUs alike. Undefined when the list cannot be understood at all. */
export function parseAmdSmi(list: string, metric: string): readonly ToldGpu[] | undefined {
  const listed = rowsOf(jsonIn(list));
  if (listed === undefined) return undefined;
  const metrics = new Map((rowsOf(jsonIn(metric)) ?? []).map((row) => [String(row["gpu"]), row]));
  return listed.flatMap((row) => {
    const address = typeof row["bdf"] === "string" ? parseAddress(row["bdf"]) : undefined;
    // Other parts of a divided card than the first have no address of their own.
    if (address === undefined || Number(row["partition_id"] ?? 0) > 0) return [];
    const usage = metrics.get(String(row["gpu"]))?.["mem_usage"];
    return [{ address, ...renderOf(row["render"]), ...memoryOf(usage) }];
  });
}

/** A bare list, or one wrapped in an object ("gpu_data"). */
function rowsOf(output: unknown): readonly Readonly<Record<string, unknown>>[] | undefined {
  const list: unknown = isRecord(output) ? Object.values(output).find(Array.isArray) : output;
  return Array.isArray(list) ? list.filter(isRecord) : undefined;
}

function renderOf(render: unknown): Pick<ToldGpu, "renderMinor"> {
  const renderMinor = typeof render === "string" ? parseRenderMinor(render) : undefined;
  return renderMinor === undefined ? {} : { renderMinor };
}

function memoryOf(usage: unknown): Pick<ToldGpu, "memoryBytes" | "usedBytes"> {
  if (!isRecord(usage)) return {};
  const [memoryBytes, usedBytes] = [bytesOf(usage["total_vram"], "MB"), bytesOf(usage["used_vram"], "MB")];
  return {
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
    ...(usedBytes === undefined ? {} : { usedBytes }),
  };
}
