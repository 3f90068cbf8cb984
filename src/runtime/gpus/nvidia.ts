// NVIDIA's GPUs: the PCI bus tells that they are there, nvidia-smi what they are. Pure.
import type { FoundGpu } from "./found.ts";
import type { PciGpu } from "./pci.ts";
import { nvidiaProduct } from "./products.ts";
import type { Told } from "./smi.ts";
import type { ToldGpu } from "./told.ts";

/** `told` is absent where no card has NVIDIA's driver, so that there was nobody to ask. */
export function joinNvidia(cards: readonly PciGpu[], told: Told | undefined): readonly FoundGpu[] {
  return cards.map((card) => {
    const one = told?.kind === "gpus" ? told.gpus.find(({ address }) => address === card.address) : undefined;
    const unusable = whyUnusable(card, told, one);
    return {
      id: card.address,
      vendor: "nvidia",
      product: one?.name === undefined ? `NVIDIA ${card.deviceId}` : nvidiaProduct(one.name),
      memoryBytes: one?.memoryBytes ?? 0,
      ...(one?.usedBytes === undefined ? {} : { usedBytes: one.usedBytes }),
      ...(card.numaNode === undefined ? {} : { numaNode: card.numaNode }),
      // Its uuid, since the index moves when another GPU is lost.
      ...(one?.uuid === undefined ? {} : { cdiName: `nvidia.com/gpu=${one.uuid}` }),
      ...(unusable === undefined ? {} : { unusable }),
    };
  });
}

function whyUnusable({ driver }: PciGpu, told: Told | undefined, gpu: ToldGpu | undefined): string | undefined {
  if (driver === undefined) return 'no driver is bound to it; "dmesg | grep -i nvidia" says why';
  if (driver === "vfio-pci") return "it is bound to vfio-pci, for virtual machines; bind it to nvidia to use it here";
  if (driver !== "nvidia") return `its driver is ${driver}; it needs NVIDIA's own`;
  if (told?.kind === "failed")
    return `${told.reason}; if the gateway runs in a container, let NVIDIA's runtime put nvidia-smi into it`;
  if (gpu === undefined) return 'nvidia-smi does not list it; "dmesg | grep -i nvidia" says why';
  if (gpu.memoryBytes === undefined) return "nvidia-smi does not tell how much memory it has";
  return gpu.uuid === undefined ? "nvidia-smi does not tell its uuid" : undefined;
}
