// A machine's GPUs as files: /sys and /dev of a folder, made as the amdgpu driver shows them.
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface FakeCard {
  /** "card1" */
  readonly card: string;
  readonly pciAddress: string;
  /** "renderD128"; absent: the card has none. */
  readonly render?: string;
  /** Files beside the usual ones, or instead of them; `undefined` leaves one out. */
  readonly files?: Readonly<Record<string, string | undefined>>;
}

export interface GpuTree {
  readonly sysRoot: string;
  readonly devRoot: string;
  remove(): Promise<void>;
}

const MI300X = {
  vendor: "0x1002",
  device: "0x74a1",
  mem_info_vram_total: "206141652992",
  mem_info_vram_used: "297140224",
  product_name: "",
};

/** Device nodes are left to those who may make them. */
export async function makeGpuTree(cards: readonly FakeCard[]): Promise<GpuTree> {
  const root = await mkdtemp(join(tmpdir(), "aim-gpus-"));
  const [sysRoot, devRoot] = [join(root, "sys"), join(root, "dev")];
  await mkdir(join(sysRoot, "class/drm"), { recursive: true });
  await mkdir(join(devRoot, "dri"), { recursive: true });
  for (const card of cards) await makeCard(sysRoot, card);
  return { sysRoot, devRoot, remove: () => rm(root, { recursive: true, force: true }) };
}

/** Character devices with nothing behind them, which a real engine passes into containers all the same. Needs root. */
export function makeDeviceNodes(tree: GpuTree, cards: readonly FakeCard[]): void {
  const nodes = ["kfd", ...cards.flatMap(({ render }) => (render === undefined ? [] : [`dri/${render}`]))];
  for (const [minor, node] of nodes.entries()) {
    execFileSync("mknod", [join(tree.devRoot, node), "c", "511", String(minor)]);
  }
}

async function makeCard(sysRoot: string, { card, pciAddress, render, files }: FakeCard): Promise<void> {
  const device = join(sysRoot, "devices/pci0000:00", pciAddress);
  await mkdir(join(device, "drm", card), { recursive: true });
  if (render !== undefined) await mkdir(join(device, "drm", render));
  await symlink(device, join(device, "drm", card, "device"));
  await symlink(join(device, "drm", card), join(sysRoot, "class/drm", card));
  for (const [name, content] of Object.entries({ ...MI300X, ...files })) {
    if (content !== undefined) await writeFile(join(device, name), `${content}\n`);
  }
}
