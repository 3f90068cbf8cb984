// GPUs as the PCI bus shows them: there whether or not a driver serves them.
import { readFileSync } from "node:fs";
import { readdir, readlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { parseCount, readText } from "./files.ts";

export interface PciGpu {
  /** "0000:c1:00.0" */
  readonly address: string;
  readonly vendor: "amd" | "nvidia";
  /** "0x74a1" */
  readonly deviceId: string;
  /** "amdgpu", "vfio-pci"; absent: none is bound to it. */
  readonly driver?: string;
  readonly numaNode?: number;
  /** Its folder in sysfs. */
  readonly folder: string;
}

const VENDORS: Readonly<Record<string, PciGpu["vendor"]>> = { "0x1002": "amd", "0x10de": "nvidia" };
/** Display controllers, and processing accelerators, which Instinct cards are; sound functions of cards are neither. */
const GPU_CLASS = /^0x(03|12)[0-9a-f]{4}$/;
const ADDRESS = /^([0-9a-f]{4,8}):([0-9a-f]{2}:[0-9a-f]{2}\.[0-7])$/i;

/** Sorted by address. Empty where there is no PCI bus. */
export async function listPciGpus(sysRoot: string): Promise<readonly PciGpu[]> {
  const bus = join(sysRoot, "bus/pci/devices");
  const addresses = (await readdir(bus).catch(() => [])).filter((name) => ADDRESS.test(name));
  const found = await Promise.all(
    addresses.flatMap((address) => {
      const vendor = VENDORS[vendorOf(join(bus, address))];
      return vendor === undefined ? [] : [readGpu(bus, address, vendor)];
    }),
  );
  return found.filter((gpu) => gpu !== undefined).sort((a, b) => compareAddresses(a.address, b.address));
}

/** Servers have hundreds of devices. The kernel answers this one from memory, so that waiting is cheaper than being called back. */
function vendorOf(folder: string): string {
  try {
    return readFileSync(join(folder, "vendor"), "utf8").trim();
  } catch {
    return ""; // Unplugged since it was listed.
  }
}

async function readGpu(bus: string, address: string, vendor: PciGpu["vendor"]): Promise<PciGpu | undefined> {
  const folder = join(bus, address);
  const [deviceClass, deviceId, driver, numa] = await Promise.all([
    readText(folder, "class"),
    readText(folder, "device"),
    readlink(join(folder, "driver")).then(basename, () => undefined),
    readText(folder, "numa_node"),
  ]);
  if (deviceClass === undefined || !GPU_CLASS.test(deviceClass)) return undefined;
  // -1: the firmware does not say.
  const numaNode = parseCount(numa);
  return {
    address,
    vendor,
    deviceId: (deviceId ?? "").toLowerCase(),
    folder,
    ...(driver === undefined ? {} : { driver }),
    ...(numaNode === undefined ? {} : { numaNode }),
  };
}

/** As the kernel writes it: lower case, the domain in four digits (nvidia-smi writes eight). Undefined when it is no address. */
export function parseAddress(text: string): string | undefined {
  const [, domain, rest] = ADDRESS.exec(text.trim()) ?? [];
  if (domain === undefined || rest === undefined) return undefined;
  return `${formatDomain(Number.parseInt(domain, 16))}:${rest.toLowerCase()}`;
}

/** KFD's location: the bus in the second byte, device and function in the first. What is above numbers partitions. */
export function formatAddress(domain: number, location: number): string {
  const [bus, device] = [(location >> 8) & 0xff, (location >> 3) & 0x1f].map((part) =>
    part.toString(16).padStart(2, "0"),
  );
  return `${formatDomain(domain)}:${bus}:${device}.${location & 7}`;
}

/** Domains can be longer than four digits, which would sort as text before shorter ones. */
export function compareAddresses(a: string, b: string): number {
  const [left, right] = [a, b].map((address) => address.padStart("00000000:00:00.0".length, "0"));
  return (left ?? "") < (right ?? "") ? -1 : 1;
}

function formatDomain(domain: number): string {
  return domain.toString(16).padStart(4, "0");
}
