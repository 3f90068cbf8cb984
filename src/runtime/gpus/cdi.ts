// The numbers that AMD's container toolkit gives GPUs in CDI: their places in the order of PCI addresses. Pure.
import type { AmdCard } from "./card.ts";
import type { KfdTopology } from "./kfd.ts";
import { amdProduct } from "./products.ts";

/**
 * By PCI address. Versions of the toolkit number the parts of divided cards differently, and some leave out cards that the
 * compute driver does not list; a wrong number is somebody else's GPU, so where there is such a card no number is given.
 */
export function cdiIndexes(
  cards: readonly AmdCard[],
  nodeCount: (card: AmdCard) => number,
  topology: KfdTopology | undefined,
): ReadonlyMap<string, number> {
  const served = cards.filter(({ driver }) => driver === "amdgpu");
  const isPartlyHidden = topology === undefined || topology.denied > 0;
  const isCertain = served.every((card) => {
    if (card.renderMinor === undefined || card.partition !== undefined) return false;
    const nodes = nodeCount(card);
    return nodes === 1 || (nodes === 0 && isPartlyHidden && amdProduct(card.deviceId).arch !== undefined);
  });
  return new Map(isCertain ? served.map(({ address }, index) => [address, index] as const) : []);
}
