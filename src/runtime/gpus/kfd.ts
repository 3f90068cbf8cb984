// GPUs as the compute driver lists them, in /sys/class/kfd/kfd/topology/nodes. What is not in there cannot run a kernel; each
// partition of a card is a node of its own.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { codeOf, messageOf } from "../../errors.ts";
import { parseCount, readText } from "./files.ts";
import { formatAddress } from "./pci.ts";

/** One GPU, or one partition of it. The node's number is only a place to look, never an identity. */
export interface KfdNode {
  /** PCI address as the driver gives it; some versions put the partition's number where the function is. */
  readonly address: string;
  /** N of /dev/dri/renderDN. */
  readonly renderMinor: number;
  /** "0x74a1" */
  readonly deviceId: string;
  /** "gfx942" */
  readonly arch?: string;
  /** A decimal number of 64 bits, hence a text. */
  readonly hive?: string;
  readonly memoryBytes?: number;
  readonly usedBytes?: number;
}

export interface KfdTopology {
  readonly nodes: readonly KfdNode[];
  /** How many nodes the kernel keeps from us: those of GPUs whose device nodes our container was not given. */
  readonly denied: number;
  /** What is wrong with nodes that cannot be understood. */
  readonly faults: readonly string[];
}

/** Undefined where there is no compute driver. */
export async function readKfd(sysRoot: string): Promise<KfdTopology | undefined> {
  const folder = join(sysRoot, "class/kfd/kfd/topology/nodes");
  const names = await readdir(folder).catch(() => undefined);
  if (names === undefined) return undefined;
  const numbers = names.filter((name) => /^\d+$/.test(name));
  const read = await Promise.allSettled(numbers.map((name) => readNode(join(folder, name))));
  const errors: unknown[] = read.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
  const isDenial = (error: unknown) => ["EPERM", "EACCES"].includes(codeOf(error) ?? "");
  return {
    nodes: read.flatMap((one) => (one.status === "fulfilled" && one.value !== undefined ? [one.value] : [])),
    denied: errors.filter(isDenial).length,
    faults: errors.filter((error) => !isDenial(error)).map(messageOf),
  };
}

/** Undefined for a CPU. */
async function readNode(folder: string): Promise<KfdNode | undefined> {
  if ((await readFile(join(folder, "gpu_id"), "utf8")).trim() === "0") return undefined;
  const properties = parseProperties(await readFile(join(folder, "properties"), "utf8"));
  const number = (name: string) => required(properties, name);
  const arch = archOf(parseCount(properties.get("gfx_target_version")));
  const hive = properties.get("hive_id") ?? "";
  return {
    address: formatAddress(number("domain"), number("location_id")),
    renderMinor: renderMinorOf(number("drm_render_minor")),
    deviceId: `0x${number("device_id").toString(16).padStart(4, "0")}`,
    ...(arch === undefined ? {} : { arch }),
    ...(/^[1-9]\d*$/.test(hive) ? { hive } : {}),
    ...(await readBanks(join(folder, "mem_banks"))),
  };
}

/** Lines of "name value". Values stay texts: some are numbers of 64 bits. */
export function parseProperties(text: string): ReadonlyMap<string, string> {
  const lines = text.split("\n").map((line) => /^\s*(\S+)\s+(\S+)\s*$/.exec(line));
  return new Map(lines.flatMap((match) => (match?.[1] && match[2] ? [[match[1], match[2]] as const] : [])));
}

/** 90402 → "gfx942", 90010 → "gfx90a": major, minor and stepping, the last one in hexadecimal. Undefined for no version. */
export function archOf(version: number | undefined): string | undefined {
  if (version === undefined || version < 10_000 || version > 999_999) return undefined;
  const [major, minor, stepping] = [Math.floor(version / 10_000), Math.floor(version / 100) % 100, version % 100];
  return `gfx${major}${minor}${stepping.toString(16)}`;
}

/** The sums; absent where one of the banks does not tell. */
async function readBanks(folder: string): Promise<Pick<KfdNode, "memoryBytes" | "usedBytes">> {
  const banks = await readdir(folder).catch(() => []);
  const sizes = await Promise.all(banks.map((bank) => readText(join(folder, bank), "properties")));
  const used = await Promise.all(banks.map((bank) => readText(join(folder, bank), "used_memory")));
  const memoryBytes = sum(sizes.map((text) => parseCount(parseProperties(text ?? "").get("size_in_bytes"))));
  const usedBytes = sum(used.map(parseCount));
  return {
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
    ...(usedBytes === undefined ? {} : { usedBytes }),
  };
}

function sum(parts: readonly (number | undefined)[]): number | undefined {
  return parts.length === 0
    ? undefined
    : parts.reduce((total, part) => (total === undefined || part === undefined ? undefined : total + part), 0);
}

/** 0 is what CPUs have. */
function renderMinorOf(minor: number): number {
  if (minor > 0) return minor;
  throw new Error("drm_render_minor is 0, so there is no render node");
}

function required(properties: ReadonlyMap<string, string>, name: string): number {
  const text = properties.get(name);
  const value = parseCount(text);
  if (value !== undefined) return value;
  throw new Error(text === undefined ? `${name} is missing` : `${name} is ${JSON.stringify(text)}, which is no number`);
}
