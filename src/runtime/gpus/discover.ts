// Which AMD GPUs this machine has, read from the kernel's DRM files: no privilege, no native code, no ROCm needed.
import { readdir, readFile, readlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { messageOf } from "../../errors.ts";
import type { Gpu } from "../driver.ts";

/** Where the kernel's files are; elsewhere in tests. */
export interface DeviceRoots {
  readonly sysRoot: string;
  readonly devRoot: string;
}

/** A GPU and what gives a container access to it. */
export interface HostGpu extends Gpu {
  /** "/dev/dri/renderD128"; absent for NVIDIA's, and where there is none. */
  readonly renderNode?: string;
  /** As CDI names it: "amd.com/gpu=0", "nvidia.com/gpu=GPU-5e1c…"; absent where that is not certain. */
  readonly cdiName?: string;
}

export interface Discovery {
  /** Sorted by PCI address; those that exist and cannot be used bear the reason in `unusable`. */
  readonly gpus: readonly HostGpu[];
  /** What the gateway lacks to see more, and how to give it. */
  readonly hint?: string;
}

const AMD = "0x1002";

/** By PCI device id; the kernel's own `product_name` is often empty. Sizes come from sysfs, never from here. */
const PRODUCTS: Readonly<Record<string, readonly [product: string, arch: string]>> = {
  "0x740f": ["MI210", "gfx90a"],
  "0x7410": ["MI210", "gfx90a"],
  "0x7408": ["MI250X", "gfx90a"],
  "0x740c": ["MI250", "gfx90a"],
  "0x74a0": ["MI300A", "gfx942"],
  "0x74a1": ["MI300X", "gfx942"],
  "0x74b5": ["MI300X", "gfx942"],
  "0x74a9": ["MI300X", "gfx942"],
  "0x74bd": ["MI300X", "gfx942"],
  "0x74a2": ["MI308X", "gfx942"],
  "0x74a8": ["MI308X", "gfx942"],
  "0x74b6": ["MI308X", "gfx942"],
  "0x74a5": ["MI325X", "gfx942"],
  "0x74b9": ["MI325X", "gfx942"],
  "0x75a0": ["MI350X", "gfx950"],
  "0x75b0": ["MI350X", "gfx950"],
  "0x75a3": ["MI355X", "gfx950"],
  "0x75b3": ["MI355X", "gfx950"],
  "0x744c": ["RX 7900", "gfx1100"],
};

/** Never throws: a machine without GPUs has none, and a card that cannot be read is reported beside the others. */
export async function discoverGpus(roots: DeviceRoots): Promise<Discovery> {
  const folder = join(roots.sysRoot, "class/drm");
  // No such folder: no graphics driver is loaded, hence no GPU.
  const entries = await readdir(folder).catch(() => []);
  const gpus: HostGpu[] = [];
  for (const card of entries.filter((name) => /^card\d+$/.test(name))) {
    try {
      const gpu = await readCard(join(folder, card, "device"), roots);
      if (gpu !== undefined) gpus.push(gpu);
    } catch (error) {
      const id = basename(await readlink(join(folder, card, "device")).catch(() => card));
      gpus.push({ id, vendor: "amd", product: "unknown", memoryBytes: 0, unusable: messageOf(error) });
    }
  }
  return { gpus: gpus.sort((a, b) => (a.id < b.id ? -1 : 1)) };
}

/** Undefined when it is not AMD's. */
async function readCard(device: string, roots: DeviceRoots): Promise<HostGpu | undefined> {
  if ((await readText(device, "vendor")) !== AMD) return undefined;
  const id = basename(await readlink(device));
  if (!/^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/.test(id)) throw new Error(`${id} is no PCI address`);
  const node = (await readdir(join(device, "drm"))).find((name) => /^renderD\d+$/.test(name));
  if (node === undefined) throw new Error("it has no render node");
  const usedBytes = await readBytes(device, "mem_info_vram_used").catch(() => undefined);
  return {
    id,
    vendor: "amd",
    ...(await identify(device)),
    memoryBytes: await readBytes(device, "mem_info_vram_total"),
    ...(usedBytes === undefined ? {} : { usedBytes }),
    renderNode: join(roots.devRoot, "dri", node),
  };
}

async function identify(device: string): Promise<{ product: string; arch?: string }> {
  const deviceId = (await readText(device, "device")).toLowerCase();
  const known = PRODUCTS[deviceId];
  if (known !== undefined) return { product: known[0], arch: known[1] };
  const name = await readText(device, "product_name").catch(() => "");
  // "AMD Instinct MI300X OAM" -> "MI300X", which is how recipes name it.
  return { product: /\bMI\d{3}[A-Z]?\b/.exec(name)?.[0] ?? (name === "" ? `AMD ${deviceId}` : name) };
}

async function readBytes(device: string, file: string): Promise<number> {
  const text = await readText(device, file);
  if (!/^\d+$/.test(text)) throw new Error(`${file} holds ${JSON.stringify(text)} instead of a number`);
  return Number(text);
}

async function readText(device: string, file: string): Promise<string> {
  return (await readFile(join(device, file), "utf8")).trim();
}
