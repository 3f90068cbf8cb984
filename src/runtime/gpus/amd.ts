// AMD's GPUs: the cards of the PCI bus joined with the nodes of the compute driver, by render minor. Pure.
import type { AmdCard } from "./card.ts";
import { cdiIndexes } from "./cdi.ts";
import type { FoundGpu } from "./found.ts";
import type { KfdNode, KfdTopology } from "./kfd.ts";
import { amdProduct } from "./products.ts";

/** What may be known of a card; nothing but its address where the PCI bus is hidden. */
type Card = Pick<AmdCard, "address" | "deviceId"> & Partial<AmdCard>;

/** `topology` is undefined where there is no compute driver: then cards are taken as the graphics driver shows them. */
export function joinAmd(onBus: readonly AmdCard[], topology: KfdTopology | undefined): readonly FoundGpu[] {
  const nodesOf = Map.groupBy(topology?.nodes ?? [], (node) => cardAddress(node, onBus));
  const hidden = [...nodesOf].flatMap(([address, [first]]) =>
    first === undefined || onBus.some((card) => card.address === address)
      ? []
      : [{ address, deviceId: first.deviceId }],
  );
  const cards: readonly Card[] = [...onBus, ...hidden];
  const indexes = cdiIndexes(onBus, (card) => nodesOf.get(card.address)?.length ?? 0, topology);
  return cards.flatMap((card) => {
    const index = indexes.get(card.address);
    return gpusOf(card, nodesOf.get(card.address) ?? [], topology).map((gpu) =>
      index === undefined ? gpu : { ...gpu, cdiName: `amd.com/gpu=${index}` },
    );
  });
}

/** The function of the address may be the partition's number, and only the first part of a card has the card's render node. */
function cardAddress(node: KfdNode, cards: readonly AmdCard[]): string {
  const function0 = node.address.replace(/\.\d$/, ".0");
  const card =
    cards.find(({ renderMinor }) => renderMinor === node.renderMinor) ??
    cards.find(({ address }) => address === node.address) ??
    cards.find(({ address }) => address === function0);
  return card?.address ?? function0;
}

function gpusOf(card: Card, nodes: readonly KfdNode[], topology: KfdTopology | undefined): readonly FoundGpu[] {
  const [node] = nodes;
  if (node === undefined) return [withoutNode(card, topology)];
  const isWhole = nodes.length === 1 && card.partition === undefined;
  if (!isWhole) return nodes.map((part) => partOf(card, part, nodes.length));
  return [
    withSize({
      ...facts(card, node),
      ...sizes(card.memoryBytes ?? node.memoryBytes, card.usedBytes ?? node.usedBytes),
      renderMinor: node.renderMinor,
    }),
  ];
}

/** The graphics driver tells the memory of the whole card only. */
function partOf(card: Card, node: KfdNode, count: number): FoundGpu {
  return withSize({
    ...facts(card, node),
    ...sizes(node.memoryBytes, node.usedBytes),
    id: `${card.address}/renderD${node.renderMinor}`,
    partition: card.partition ?? `${count} parts`,
    renderMinor: node.renderMinor,
  });
}

function withoutNode(card: Card, topology: KfdTopology | undefined): FoundGpu {
  const gpu: FoundGpu = {
    ...facts(card),
    ...sizes(card.memoryBytes, card.usedBytes),
    ...(card.partition === undefined ? {} : { partition: card.partition }),
    ...(card.renderMinor === undefined ? {} : { renderMinor: card.renderMinor }),
  };
  const unusable = whyUnusable(card, topology);
  return unusable === undefined ? withSize(gpu) : { ...gpu, unusable };
}

/** Of a card that the compute driver shows nothing of. */
function whyUnusable(card: Card, topology: KfdTopology | undefined): string | undefined {
  const { driver, renderMinor, partition } = card;
  if (driver === undefined) return 'no driver is bound to it; "dmesg | grep amdgpu" says why';
  if (driver === "vfio-pci") return "it is bound to vfio-pci, for virtual machines; bind it to amdgpu to use it here";
  if (renderMinor === undefined)
    return `its driver ${driver} gives it no render node; "dmesg | grep ${driver}" says why`;
  const [fault] = topology?.faults ?? [];
  if (fault !== undefined)
    return `what the compute driver says of it cannot be understood (${fault}); restart the driver`;
  if (topology !== undefined && topology.denied === 0)
    return "the compute driver does not list it, so that ROCm cannot use it";
  if (partition !== undefined)
    return `it is divided (${partition}), and only who has its device nodes is told its parts; give the gateway /dev/kfd and /dev/dri`;
  return undefined;
}

function facts(card: Card, node?: KfdNode): Omit<FoundGpu, "memoryBytes"> {
  const known = amdProduct(card.deviceId, card.name);
  const arch = node?.arch ?? known.arch;
  return {
    id: card.address,
    vendor: "amd",
    product: known.product,
    ...(arch === undefined ? {} : { arch }),
    ...(card.numaNode === undefined ? {} : { numaNode: card.numaNode }),
    ...(node?.hive === undefined ? {} : { hive: node.hive }),
  };
}

/** 0 stands for an unknown size, which makes a GPU unusable. */
function sizes(memoryBytes = 0, usedBytes?: number): Pick<FoundGpu, "memoryBytes" | "usedBytes"> {
  return { memoryBytes, ...(usedBytes === undefined || usedBytes > memoryBytes ? {} : { usedBytes }) };
}

function withSize(gpu: FoundGpu): FoundGpu {
  if (gpu.memoryBytes > 0) return gpu;
  const unusable = 'the driver does not tell how much memory it has; "dmesg | grep amdgpu" says why';
  return { ...gpu, unusable };
}
