// A machine's GPUs as files: /sys and /dev of a folder, made as the kernel shows them.
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface FakeCard {
  /** "card1" */
  readonly card: string;
  readonly pciAddress: string;
  /** "renderD128"; absent: the card has none. */
  readonly render?: string;
  /** "amdgpu" unless given; "none": no driver is bound to it. */
  readonly driver?: string;
  /** Files of the device beside the usual ones, or instead of them; `undefined` leaves one out. */
  readonly files?: Readonly<Record<string, string | undefined>>;
  /** What the compute driver lists of the card, one for each of its parts; absent: nothing. */
  readonly kfd?: readonly FakeNode[];
}

/** A node of the compute driver's topology. */
export interface FakeNode {
  readonly node: number;
  /** "renderD128" */
  readonly render: string;
  /** Properties beside those of an MI300X, or instead of them; `undefined` leaves one out. */
  readonly properties?: Readonly<Record<string, string | undefined>>;
  readonly memory?: string;
  /** Absent: the driver has no such file. */
  readonly used?: string;
  /** Readers lack the device node: the kernel refuses to show this one. */
  readonly denied?: boolean;
}

export interface GpuTree {
  readonly sysRoot: string;
  readonly devRoot: string;
  /** Changes how much memory of a GPU is in use, by its id: "0000:c1:00.0", or "0000:c1:00.0/renderD129" for a part. */
  setUsed(gpu: string, bytes: number): Promise<void>;
  remove(): Promise<void>;
}

const MI300X = {
  vendor: "0x1002",
  device: "0x74a1",
  class: "0x120000",
  numa_node: "-1",
  mem_info_vram_total: "206141652992",
  mem_info_vram_used: "297140224",
  product_name: "",
};

const MI300X_PROPERTIES = {
  cpu_cores_count: "0",
  simd_count: "1216",
  gfx_target_version: "90402",
  vendor_id: "4098",
  device_id: "29857",
  domain: "0",
  local_mem_size: "0",
  hive_id: "0",
  unique_id: "17345678901234567890",
};

/** As root may read everything, a kernel that refuses stands in for one that refuses: this file can only be written. */
const REFUSED = "/proc/sys/net/ipv4/route/flush";

/** Device nodes are left to those who may make them. Where no card is in KFD there is no compute driver. */
export async function makeGpuTree(cards: readonly FakeCard[]): Promise<GpuTree> {
  const root = await mkdtemp(join(tmpdir(), "aim-gpus-"));
  const [sysRoot, devRoot] = [join(root, "sys"), join(root, "dev")];
  for (const folder of ["class/drm", "bus/pci/devices"]) await mkdir(join(sysRoot, folder), { recursive: true });
  await mkdir(join(devRoot, "dri"), { recursive: true });
  if (cards.some((card) => card.kfd !== undefined)) for (const node of [0, 1]) await makeCpu(sysRoot, node);
  for (const card of cards) {
    await makeCard(sysRoot, card);
    for (const [part, node] of (card.kfd ?? []).entries()) await makeNode(sysRoot, card.pciAddress, node, part);
  }
  return {
    sysRoot,
    devRoot,
    async setUsed(gpu, bytes) {
      const files = usedFiles(sysRoot, cards, gpu);
      if (files.length === 0) throw new Error(`no GPU ${gpu} in this tree`);
      for (const file of files) await replace(file, `${bytes}\n`);
    },
    remove: () => rm(root, { recursive: true, force: true }),
  };
}

/** Character devices with nothing behind them, which a real engine passes into containers all the same. Needs root. */
export function makeDeviceNodes(tree: GpuTree, cards: readonly FakeCard[]): void {
  const renders = cards.flatMap(({ render, kfd = [] }) => [render, ...kfd.map((node) => node.render)]);
  const nodes = ["kfd", ...new Set(renders.flatMap((render) => (render === undefined ? [] : [`dri/${render}`])))];
  for (const [minor, node] of nodes.entries()) {
    execFileSync("mknod", [join(tree.devRoot, node), "c", "511", String(minor)]);
  }
}

async function makeCard(sysRoot: string, { card, pciAddress, render, driver, files }: FakeCard): Promise<void> {
  const device = join(sysRoot, "devices/pci0000:00", pciAddress);
  await mkdir(device, { recursive: true });
  await symlink(device, join(sysRoot, "bus/pci/devices", pciAddress));
  for (const [name, content] of Object.entries({ ...MI300X, ...files })) {
    if (content !== undefined) await writeFile(join(device, name), `${content}\n`);
  }
  if (driver === "none") return;
  const module = join(sysRoot, "bus/pci/drivers", driver ?? "amdgpu");
  await mkdir(module, { recursive: true });
  await symlink(module, join(device, "driver"));
  if (driver === "vfio-pci") return;
  await mkdir(join(device, "drm", card), { recursive: true });
  if (render !== undefined) await mkdir(join(device, "drm", render));
  await symlink(device, join(device, "drm", card, "device"));
  await symlink(join(device, "drm", card), join(sysRoot, "class/drm", card));
}

async function makeCpu(sysRoot: string, node: number): Promise<void> {
  const folder = nodeFolder(sysRoot, node);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "gpu_id"), "0\n");
  await writeFile(join(folder, "properties"), "cpu_cores_count 96\nsimd_count 0\ndrm_render_minor 0\n");
}

/** The part's number stands where the function of the PCI address is. */
async function makeNode(sysRoot: string, pciAddress: string, fake: FakeNode, part: number): Promise<void> {
  const { node, render, properties, memory = MI300X.mem_info_vram_total, used, denied } = fake;
  const folder = nodeFolder(sysRoot, node);
  const bank = join(folder, "mem_banks/0");
  await mkdir(bank, { recursive: true });
  if (denied) {
    for (const file of ["gpu_id", "properties"]) await symlink(REFUSED, join(folder, file));
    return;
  }
  const all = {
    ...MI300X_PROPERTIES,
    location_id: String(locationOf(pciAddress) + part),
    drm_render_minor: render.replace("renderD", ""),
    ...properties,
  };
  const lines = Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [`${name} ${value}\n`]));
  await writeFile(join(folder, "gpu_id"), `${20_000 + node}\n`);
  await writeFile(join(folder, "properties"), lines.join(""));
  await writeFile(join(bank, "properties"), `heap_type 1\nsize_in_bytes ${memory}\nflags 0\n`);
  if (used !== undefined) await writeFile(join(bank, "used_memory"), `${used}\n`);
}

/** "0000:c1:00.0" → 0xc100 */
function locationOf(pciAddress: string): number {
  const [, bus = "", device = "", fn = ""] = /([0-9a-f]{2}):([0-9a-f]{2})\.(\d)$/.exec(pciAddress) ?? [];
  return (Number.parseInt(bus, 16) << 8) | (Number.parseInt(device, 16) << 3) | Number(fn);
}

function usedFiles(sysRoot: string, cards: readonly FakeCard[], gpu: string): string[] {
  const [address, render] = gpu.split("/");
  return cards
    .filter(({ pciAddress }) => pciAddress === address)
    .flatMap(({ pciAddress, kfd = [] }) => [
      ...(render === undefined ? [join(sysRoot, "devices/pci0000:00", pciAddress, "mem_info_vram_used")] : []),
      ...kfd
        .filter((node) => render === undefined || node.render === render)
        .map(({ node }) => join(nodeFolder(sysRoot, node), "mem_banks/0/used_memory")),
    ]);
}

/** At once, so that no reader finds it empty. */
async function replace(file: string, content: string): Promise<void> {
  await writeFile(`${file}.new`, content);
  await rename(`${file}.new`, file);
}

function nodeFolder(sysRoot: string, node: number): string {
  return join(sysRoot, "class/kfd/kfd/topology/nodes", String(node));
}
