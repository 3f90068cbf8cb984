// Which GPUs suit a recipe, and how many of them a machine has.
import type { Recipe } from "./recipe.ts";

/** Words of marketing names that say nothing about which GPU it is. */
const VENDOR_WORDS = new Set(["amd", "instinct", "radeon", "nvidia", "geforce", "tesla", "graphics"]);

/** Whether a GPU is one that the recipe names ("MI300X" is an "AMD Instinct MI300X"); a recipe that names none takes any. */
export function matchesHardware(recipe: Pick<Recipe, "hardware">, product: string): boolean {
  return recipe.hardware.length === 0 || recipe.hardware.some((wanted) => isContained(words(wanted), words(product)));
}

function words(product: string): string[] {
  const all = product
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter(Boolean);
  return all.filter((word) => !VENDOR_WORDS.has(word));
}

/** Whole words in a row: "MI300" is no "MI300X", and "RX 7900" is an "RX 7900 XTX". */
function isContained(wanted: readonly string[], actual: readonly string[]): boolean {
  return wanted.length > 0 && actual.some((_, start) => wanted.every((word, index) => actual[start + index] === word));
}

interface KnownGpu {
  readonly product: string;
  readonly free: boolean;
}

/** The GPUs of one product: those of one replica have to be alike. */
export interface Supply {
  readonly product: string;
  readonly total: number;
  readonly free: number;
}

/** The suitable product of which the machine has most; undefined when it has none. */
export function bestSupply(recipe: Pick<Recipe, "hardware">, gpus: readonly KnownGpu[]): Supply | undefined {
  const products = Map.groupBy(gpus, (gpu) => gpu.product);
  return [...products]
    .filter(([product]) => matchesHardware(recipe, product))
    .map(([product, alike]) => ({
      product,
      total: alike.length,
      free: alike.filter((gpu) => gpu.free).length,
    }))
    .sort((a, b) => b.total - a.total || b.free - a.free)[0];
}

/** "8 MI300X and 1 W7900", or "no GPUs". */
export function describeGpus(gpus: readonly KnownGpu[]): string {
  const counts = [...Map.groupBy(gpus, (gpu) => gpu.product)].map(([product, alike]) => `${alike.length} ${product}`);
  return counts.length === 0 ? "no GPUs" : counts.join(" and ");
}

/** "8 MI300X", "2 MI300X or 2 MI325X", "1 GPU" */
export function describeNeed(recipe: Pick<Recipe, "hardware">, gpus: number): string {
  if (recipe.hardware.length > 0) return recipe.hardware.map((product) => `${gpus} ${product}`).join(" or ");
  return gpus === 1 ? "1 GPU" : `${gpus} GPUs of one kind`;
}
