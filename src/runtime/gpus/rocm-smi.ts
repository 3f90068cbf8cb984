// What `rocm-smi --showbus --showproductname --showmeminfo vram --json` says: one object per card, every value a text. Pure.
import { parseAddress } from "./pci.ts";
import { bytesOf, isRecord, jsonIn, type ToldGpu } from "./told.ts";

/** Undefined when it cannot be understood at all. */
export function parseRocmSmi(output: string): readonly ToldGpu[] | undefined {
  const cards = jsonIn(output);
  if (!isRecord(cards)) return undefined;
  return Object.values(cards).flatMap((card) => {
    if (!isRecord(card)) return [];
    const bus = card["PCI Bus"];
    const address = typeof bus === "string" ? parseAddress(bus) : undefined;
    if (address === undefined) return [];
    const memoryBytes = bytesOf(card["VRAM Total Memory (B)"], "B");
    const usedBytes = bytesOf(card["VRAM Total Used Memory (B)"], "B");
    // The spelling changed with ROCm 6.
    const name = card["Card Series"] ?? card["Card series"];
    return [
      {
        address,
        ...(typeof name === "string" && name !== "N/A" ? { name } : {}),
        ...(memoryBytes === undefined ? {} : { memoryBytes }),
        ...(usedBytes === undefined ? {} : { usedBytes }),
      },
    ];
  });
}
