// What `nvidia-smi --query-gpu=… --format=csv,noheader,nounits` says: one line per GPU, sizes in MiB. Pure.
import { parseAddress } from "./pci.ts";
import { bytesOf, type ToldGpu } from "./told.ts";

/** The name stands last, since it alone could have a comma. */
export const NVIDIA_QUERY = "uuid,pci.bus_id,memory.total,memory.used,name";

/** Lines that are none of a GPU are passed over. */
export function parseNvidiaSmi(output: string): readonly ToldGpu[] {
  return output.split("\n").flatMap((line) => {
    const [uuid = "", bus = "", total = "", used = "", ...name] = line.split(",").map((field) => field.trim());
    const address = parseAddress(bus);
    if (address === undefined) return [];
    const [memoryBytes, usedBytes] = [bytesOf(total, "MB"), bytesOf(used, "MB")];
    return [
      {
        address,
        ...(/^GPU-[0-9a-f-]+$/i.test(uuid) ? { uuid } : {}),
        ...(name.length === 0 || name[0]?.startsWith("[") ? {} : { name: name.join(", ") }),
        ...(memoryBytes === undefined ? {} : { memoryBytes }),
        ...(usedBytes === undefined ? {} : { usedBytes }),
      },
    ];
  });
}
