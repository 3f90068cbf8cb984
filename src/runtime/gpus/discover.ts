// Which GPUs this machine has: read from the kernel's files, without privilege, native code or ROCm; from the vendors' tools
// where the kernel says nothing.
import { access } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "../../lib/clock.ts";
import type { Gpu } from "../driver.ts";
import { joinAmd } from "./amd.ts";
import { readCard, type AmdCard } from "./card.ts";
import { hintAt, isMissing, readDeviceNodes, renderMinorByPath, renderNode, type DeviceNodes } from "./device-nodes.ts";
import type { FoundGpu } from "./found.ts";
import { readKfd } from "./kfd.ts";
import { joinNvidia } from "./nvidia.ts";
import { compareAddresses, listPciGpus, type PciGpu } from "./pci.ts";
import { amdProduct } from "./products.ts";
import { SmiTools } from "./smi.ts";

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

export interface DiscoverOptions {
  /** Remembers answers between calls; without it, tools that are needed are asked anew. */
  readonly tools?: SmiTools;
}

/** Never rejects: a machine without GPUs has none, and one GPU that fails takes no other along. */
export async function discoverGpus(roots: DeviceRoots, options: DiscoverOptions = {}): Promise<Discovery> {
  const { tools = new SmiTools({ clock: systemClock }) } = options;
  const onBus = await listPciGpus(roots.sysRoot);
  const [amd, nvidia] = await Promise.all([
    discoverAmd(roots, await driven(onBus, "amd", roots), tools),
    discoverNvidia(await driven(onBus, "nvidia", roots), tools),
  ]);
  return { ...amd, gpus: [...amd.gpus, ...nvidia].sort(inOrder) };
}

/** One without a driver is worth a word only where the others have one: else nobody means to compute on them. */
async function driven(onBus: readonly PciGpu[], vendor: PciGpu["vendor"], roots: DeviceRoots): Promise<PciGpu[]> {
  const gpus = onBus.filter((gpu) => gpu.vendor === vendor);
  const module = join(roots.sysRoot, "module", vendor === "amd" ? "amdgpu" : "nvidia");
  const isLoaded = await access(module).then(
    () => true,
    () => false,
  );
  return isLoaded || gpus.some(({ driver }) => driver !== undefined) ? gpus : [];
}

async function discoverAmd(roots: DeviceRoots, onBus: readonly PciGpu[], tools: SmiTools): Promise<Discovery> {
  const [cards, topology, nodes] = await Promise.all([
    Promise.all(onBus.map(readCard)),
    readKfd(roots.sysRoot),
    readDeviceNodes(roots.devRoot),
  ]);
  const joined = joinAmd(cards, topology);
  const found = await Promise.all(joined.map((gpu) => completed(gpu, cards, roots.devRoot, tools)));
  const denied = topology?.denied ?? 0;
  const isServed = denied > 0 || found.some(({ renderMinor }) => renderMinor !== undefined);
  const hint = isServed ? hintAt(nodes, denied) : undefined;
  return { gpus: found.map((gpu) => toHostGpu(gpu, nodes)), ...(hint === undefined ? {} : { hint }) };
}

/** A card that has its driver and of which the kernel's files say nothing all the same is asked for by AMD's tools. */
async function completed(
  gpu: FoundGpu,
  cards: readonly AmdCard[],
  devRoot: string,
  tools: SmiTools,
): Promise<FoundGpu> {
  const card = cards.find(({ address }) => address === gpu.id);
  if (card?.driver !== "amdgpu" || gpu.renderMinor !== undefined || card.memoryBytes !== undefined) return gpu;
  const told = await tools.amd();
  if (told.kind === "failed") {
    const reasons = [gpu.unusable, told.reason].filter((reason) => reason !== undefined);
    return { ...gpu, unusable: reasons.join("; ") };
  }
  const one = told.gpus.find(({ address }) => address === card.address);
  const renderMinor = one?.renderMinor ?? (await renderMinorByPath(devRoot, card.address));
  if (one?.memoryBytes === undefined || renderMinor === undefined) return gpu;
  const { unusable: _unusable, ...rest } = gpu;
  return {
    ...rest,
    ...amdProduct(card.deviceId, card.name ?? one.name),
    memoryBytes: one.memoryBytes,
    ...(one.usedBytes === undefined ? {} : { usedBytes: one.usedBytes }),
    renderMinor,
  };
}

function toHostGpu({ renderMinor, ...gpu }: FoundGpu, nodes: DeviceNodes): HostGpu {
  if (renderMinor === undefined) return gpu;
  const path = renderNode(nodes.devRoot, renderMinor);
  const host = { ...gpu, renderNode: path };
  if (gpu.unusable !== undefined || !isMissing(nodes, renderMinor)) return host;
  const unusable = `its device node ${path} is missing: the GPU was lost ("dmesg | grep amdgpu" says why), or the gateway's container was not given it`;
  return { ...host, unusable };
}

async function discoverNvidia(cards: readonly PciGpu[], tools: SmiTools): Promise<readonly FoundGpu[]> {
  const hasDriver = cards.some(({ driver }) => driver === "nvidia");
  return joinNvidia(cards, hasDriver ? await tools.nvidia() : undefined);
}

/** By PCI address, the parts of a card by render node. */
function inOrder(a: HostGpu, b: HostGpu): number {
  const [[left = "", leftPart = ""], [right = "", rightPart = ""]] = [a.id.split("/"), b.id.split("/")];
  if (left !== right) return compareAddresses(left, right);
  return Number(leftPart.replace(/\D/g, "")) - Number(rightPart.replace(/\D/g, ""));
}
