// Which GPUs suit a recipe, how many of them a machine has, and why the others do not.
import type { Recipe } from "./recipe.ts";

/** What is known of a GPU that decides whether it suits. */
export interface GpuTraits {
  /** "MI300X", "AMD Instinct MI300X" */
  readonly product: string;
  /** "gfx942" */
  readonly arch?: string;
  /** How the card that this is a part of is divided, e.g. "CPX/NPS4"; absent: a whole card. */
  readonly partition?: string;
  readonly memoryBytes?: number;
}

/** What a recipe asks of each of its GPUs. */
export type HardwareNeed = Pick<Recipe, "hardware" | "gpuMemoryBytes">;

const GIB = 2 ** 30;
/** Cards report a little less than their name says: an MI300X of 192 GiB 191.98, an A100 of 40 GiB 39.6. */
const MEMORY_SLACK = 0.98;

/** Words of marketing names that say nothing about which GPU it is. */
const VENDOR_WORDS = new Set(["amd", "instinct", "radeon", "nvidia", "geforce", "tesla", "graphics"]);
/** How a card is divided into devices ("CPX"; "SPX" is one device), and its memory into NUMA domains ("NPS4"). */
const PARTITION_WORD = /^([sdtqc]px|nps\d)$/;
const DEVICES = "px";
const ONE_DEVICE = "spx";

/** Whether a GPU is one that the recipe asks for, by product, architecture, partition and memory. */
export function matchesHardware(recipe: HardwareNeed, gpu: GpuTraits): boolean {
  return whyUnsuitable(recipe, gpu) === undefined;
}

/** GPUs with the same one are alike: they can serve one replica together. */
export function likenessOf({ product, arch, partition, memoryBytes }: GpuTraits): string {
  return JSON.stringify([product, arch, partition, memoryBytes && Math.round(memoryBytes / GIB)]);
}

/** The suitable GPUs of one kind: those of one replica have to be alike. */
export interface Supply {
  /** "MI300X CPX/NPS4" */
  readonly name: string;
  readonly total: number;
  readonly free: number;
}

/** The suitable kind of which the machine has most; undefined when it has none. */
export function bestSupply(
  recipe: HardwareNeed,
  gpus: readonly (GpuTraits & { readonly free: boolean })[],
): Supply | undefined {
  const suitable = gpus.filter((gpu) => matchesHardware(recipe, gpu));
  return [...Map.groupBy(suitable, likenessOf).values()]
    .flatMap((alike) =>
      alike.slice(0, 1).map((gpu) => ({
        name: kindName(gpu),
        total: alike.length,
        free: alike.filter(({ free }) => free).length,
      })),
    )
    .sort((a, b) => b.total - a.total || b.free - a.free)[0];
}

/** "8 MI300X and 16 MI300X CPX/NPS4", or "no GPUs"; for a recipe, with the reason where a kind does not suit it. */
export function describeGpus(gpus: readonly GpuTraits[], recipe?: HardwareNeed): string {
  const kinds = [...Map.groupBy(gpus, likenessOf).values()].flatMap((alike) => {
    const [gpu] = alike;
    return gpu === undefined ? [] : [{ gpu, count: alike.length, name: kindName(gpu) }];
  });
  const texts = kinds.map(({ gpu, count, name }) => {
    const why = recipe && whyUnsuitable(recipe, gpu);
    const isUnclear = kinds.some((other) => other.gpu !== gpu && other.name === name);
    const size = isUnclear && gpu.memoryBytes !== undefined ? ` of ${formatGib(gpu.memoryBytes)}` : "";
    return `${count} ${name}${size}${why ? ` (${why})` : ""}`;
  });
  return texts.length === 0 ? "no GPUs" : texts.join(" and ");
}

/** "8 MI300X", "2 MI300X or 2 MI325X", "1 GPU with at least 64 GiB" */
export function describeNeed(recipe: HardwareNeed, gpus: number): string {
  const memory = recipe.gpuMemoryBytes;
  const size = memory === undefined ? "" : ` with at least ${formatGib(memory)}${gpus === 1 ? "" : " each"}`;
  const kinds = recipe.hardware.map((entry) => `${gpus} ${entry}`).join(" or ");
  return (kinds || (gpus === 1 ? "1 GPU" : `${gpus} GPUs of one kind`)) + size;
}

/**
 * Why a GPU does not suit, for parentheses behind its name; undefined when it does. Empty where the names alone say it:
 * "it needs 1 MI250, and this machine has 8 MI300X to give".
 */
export function whyUnsuitable(recipe: HardwareNeed, gpu: GpuTraits): string | undefined {
  return whyOtherKind(recipe.hardware, gpu) ?? whyTooSmall(recipe, gpu);
}

function whyOtherKind(hardware: readonly string[], gpu: GpuTraits): string | undefined {
  const own = divisionOf(gpu.partition ?? "");
  const named = hardware.filter((entry) => isNamedBy(entry, gpu));
  if (hardware.length > 0 && named.length === 0)
    return hardware.some((entry) => /^gfx/i.test(entry)) ? (gpu.arch ?? "of unknown architecture") : "";
  const takesWhole = hardware.length === 0 || named.some((entry) => divisionOf(entry).length === 0);
  if (own.length === 0) return takesWhole ? undefined : "not divided";
  if (named.some((entry) => isDividedAs(divisionOf(entry), own))) return undefined;
  return takesWhole
    ? `divided; hardware "${named[0] ?? gpu.product} ${own[0]?.toUpperCase()}" takes such`
    : "divided otherwise";
}

function whyTooSmall({ gpuMemoryBytes }: HardwareNeed, { memoryBytes }: GpuTraits): string | undefined {
  if (gpuMemoryBytes === undefined || memoryBytes === undefined) return undefined;
  return memoryBytes < gpuMemoryBytes * MEMORY_SLACK ? `too small: ${formatGib(memoryBytes)}` : undefined;
}

/** Whether an entry of `hardware` names the product or the architecture, divided or not. */
function isNamedBy(entry: string, { product, arch = "" }: GpuTraits): boolean {
  const name = words(entry).filter((word) => !PARTITION_WORD.test(word));
  return isContained(name, words(product)) || isContained(name, words(arch));
}

/** Who names the devices ("CPX") takes them with any memory mode; who names that too ("CPX NPS4") takes no other. */
function isDividedAs(wanted: readonly string[], own: readonly string[]): boolean {
  return wanted.length > 0 && wanted.every((word) => own.includes(word));
}

/** The words that divide a card, that of its devices first; none for a whole one, whatever its memory does. */
function divisionOf(text: string): readonly string[] {
  const division = words(text).filter((word) => PARTITION_WORD.test(word));
  const devices = division.filter((word) => word.endsWith(DEVICES) && word !== ONE_DEVICE);
  return devices.length === 0 ? [] : [...devices, ...division.filter((word) => !word.endsWith(DEVICES))];
}

function words(name: string): string[] {
  const all = name
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter(Boolean);
  return all.filter((word) => !VENDOR_WORDS.has(word));
}

/** Whole words in a row: "MI300" is no "MI300X", and "RX 7900" is an "RX 7900 XTX". */
function isContained(wanted: readonly string[], actual: readonly string[]): boolean {
  return wanted.length > 0 && actual.some((_, start) => wanted.every((word, index) => actual[start + index] === word));
}

export function kindName({ product, partition }: GpuTraits): string {
  return partition === undefined ? product : `${product} ${partition}`;
}

function formatGib(bytes: number): string {
  return `${Number((bytes / GIB).toFixed(1))} GiB`;
}
