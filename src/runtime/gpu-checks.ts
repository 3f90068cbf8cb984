// What could keep the GPUs of this machine from being used, or AMD's from being fast: driver, device nodes, kernel settings.
import { access, constants, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { formatSize } from "../lib/units.ts";
import type { Check } from "./driver.ts";
import { ok, problem, problemOf, softLimit, textOf, warning } from "./findings.ts";
import { discoverGpus, type DeviceRoots, type Discovery } from "./gpus/discover.ts";
import { listPciGpus, type PciGpu } from "./gpus/pci.ts";

export interface GpuCheckRoots extends DeviceRoots {
  readonly procRoot: string;
}

/** Never rejects but when the signal aborts. On a machine without GPUs there is one check that says so. */
export async function examineGpus(roots: GpuCheckRoots, signal: AbortSignal): Promise<readonly Check[]> {
  signal.throwIfAborted();
  const [found, onBus] = await Promise.all([discoverGpus(roots), listPciGpus(roots.sysRoot)]);
  const checks = [...(await checkDriver(roots, found, onBus)), ...checkUsable(found), ...checkHint(found)];
  if (found.gpus.some(isAmd))
    checks.push(
      await checkKfd(roots.devRoot),
      ...(await checkNumaBalancing(roots.procRoot)),
      ...(await checkIommu(roots.sysRoot, found)),
      ...(await checkLockedMemory(roots.procRoot)),
    );
  signal.throwIfAborted();
  return checks;
}

function isAmd({ vendor }: { readonly vendor: string }): boolean {
  return vendor === "amd";
}

async function checkDriver(
  { sysRoot }: DeviceRoots,
  { gpus }: Discovery,
  onBus: readonly PciGpu[],
): Promise<readonly Check[]> {
  const cards = onBus.filter(isAmd).length;
  if (await isThere(join(sysRoot, "module/amdgpu"))) return [ok("amdgpu driver", "loaded")];
  // Built into the kernel, it is no module of its own. Cards of virtual machines have another driver.
  if (await isThere(join(sysRoot, "bus/pci/drivers/amdgpu"))) return [ok("amdgpu driver", "in use")];
  if (cards > 0) {
    const found = `${cards} AMD ${cards === 1 ? "GPU is" : "GPUs are"} on the PCI bus, but the driver is not loaded`;
    return [problem("amdgpu driver", found, "sudo modprobe amdgpu (install it first: AMD's package amdgpu-dkms)")];
  }
  if (gpus.length > 0) return [];
  const fix = "nothing, if no model is to run on a GPU here; otherwise see whether lspci lists the cards";
  return [warning("gpus", "this machine has none", fix)];
}

function checkUsable({ gpus }: Discovery): readonly Check[] {
  const usable = gpus.filter((gpu) => gpu.unusable === undefined);
  const kinds = Map.groupBy(usable, ({ product, partition }) => [product, partition].filter(Boolean).join(" "));
  const list = [...kinds].map(([kind, some]) => `${some.length} ${kind}`).join(", ");
  const bad = gpus.flatMap(({ id, unusable }) =>
    unusable === undefined ? [] : [problemOf(`gpu ${id}`, unusable, "sudo dmesg | grep -i amdgpu says what is wrong")],
  );
  return usable.length === 0 ? bad : [ok("gpus", list), ...bad];
}

function checkHint({ hint }: Discovery): readonly Check[] {
  return hint === undefined ? [] : [warning("gpu discovery", ...halves(hint))];
}

/** What is so, and what to do about it. */
function halves(hint: string): [found: string, fix: string] {
  const [found = "", ...fixes] = hint.split("; ");
  return [found, fixes.length === 0 ? "in a container: add --device /dev/kfd --device /dev/dri" : fixes.join("; ")];
}

async function checkKfd(devRoot: string): Promise<Check> {
  const path = join(devRoot, "kfd");
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) {
    const fix = "on the host: sudo modprobe amdgpu; if this is a container: add --device /dev/kfd --device /dev/dri";
    return problem("kfd", `there is no ${path}, which every GPU computation goes through`, fix);
  }
  const isOpen = await access(path, constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  );
  if (isOpen) return ok("kfd", `${path} can be opened (group ${found.gid})`);
  // Docker opens it as root for the containers; only what we start ourselves needs the right.
  return ok("kfd", `${path} is there (group ${found.gid}); this user may not open it, which only local processes need`);
}

async function checkNumaBalancing(procRoot: string): Promise<readonly Check[]> {
  const value = await textOf(join(procRoot, "sys/kernel/numa_balancing"));
  if (value === undefined) return [];
  if (value === "0") return [ok("numa balancing", "off")];
  const fix = "sudo sysctl -w kernel.numa_balancing=0 (and in /etc/sysctl.d/ to keep it)";
  return [warning("numa balancing", "on: the kernel moves pages while GPUs use them, which costs speed", fix)];
}

/** As the kernel treats each GPU, whatever its command line says. */
async function checkIommu(sysRoot: string, { gpus }: Discovery): Promise<readonly Check[]> {
  const devices = gpus.filter(isAmd).map(({ id }) => join(sysRoot, "bus/pci/devices", id.split("/")[0] ?? id));
  const kinds = await Promise.all(devices.map((device) => textOf(join(device, "iommu_group/type"))));
  if (kinds.every((kind) => kind === undefined)) return [];
  if (!kinds.some((kind) => kind?.startsWith("DMA"))) return [ok("iommu", "passes the GPUs through")];
  const fix = 'add "iommu=pt" to GRUB_CMDLINE_LINUX in /etc/default/grub, then sudo update-grub and reboot';
  return [warning("iommu", "translates every access of the GPUs: several of one model are slower, or hang", fix)];
}

/** Containers inherit the limit of containerd, which starts them. */
async function checkLockedMemory(procRoot: string): Promise<readonly Check[]> {
  const entries = await readdir(procRoot).catch(() => []);
  for (const pid of entries.filter((entry) => /^\d+$/.test(entry))) {
    if ((await textOf(join(procRoot, pid, "comm"))) !== "containerd") continue;
    const limit = await softLimit(join(procRoot, pid, "limits"), "Max locked memory");
    if (limit === undefined) continue;
    const amount = limit === Infinity ? "any amount of memory" : formatSize(limit);
    return [ok("locked memory", `containers may lock ${amount} (only RDMA between machines needs much)`)];
  }
  return [];
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
