import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { examineGpus } from "../../src/runtime/gpu-checks.ts";
import { makeGpuTree, makeDeviceNodes, type FakeCard, type GpuTree } from "../support/gpu-tree.ts";
import { limitsText, makeFiles, type FileTree } from "../support/proc-tree.ts";

const never = new AbortController().signal;
const CARDS = [0, 1].map((index) => ({
  card: `card${index}`,
  pciAddress: `0000:0${index + 1}:00.0`,
  render: `renderD${128 + index}`,
}));

interface Machine {
  readonly cards?: readonly FakeCard[];
  /** Files below /sys. */
  readonly sys?: Readonly<Record<string, string>>;
  readonly proc?: Readonly<Record<string, string>>;
  readonly nodes?: boolean;
}

describe("the examination of GPUs", () => {
  const made: (GpuTree | FileTree)[] = [];
  afterEach(() => Promise.all(made.splice(0).map((tree) => tree.remove())));

  async function examine({ cards = [], sys = {}, proc = {}, nodes = false }: Machine) {
    const [tree, procTree] = await Promise.all([makeGpuTree(cards), makeFiles(proc)]);
    made.push(tree, procTree);
    for (const [path, text] of Object.entries(sys)) {
      await mkdir(dirname(join(tree.sysRoot, path)), { recursive: true });
      await writeFile(join(tree.sysRoot, path), text);
    }
    if (nodes) makeDeviceNodes(tree, cards);
    const checks = await examineGpus({ ...tree, procRoot: procTree.root }, never);
    return new Map(checks.map((check) => [check.name, check]));
  }

  it("says that a machine has none, and nothing else", async () => {
    const checks = await examine({ proc: { "sys/kernel/numa_balancing": "1\n" } });
    expect([...checks.values()]).toMatchObject([{ name: "gpus", status: "warning", found: "this machine has none" }]);
  });

  it("sees cards whose driver is not loaded", async () => {
    const sys = {
      "bus/pci/devices/0000:01:00.0/vendor": "0x1002\n",
      "bus/pci/devices/0000:01:00.0/class": "0x120000\n",
      "bus/pci/devices/0000:02:00.0/vendor": "0x1002\n",
      "bus/pci/devices/0000:02:00.0/class": "0x060400\n",
    };
    expect((await examine({ sys })).get("amdgpu driver")).toMatchObject({
      status: "problem",
      found: "1 AMD GPU is on the PCI bus, but the driver is not loaded",
      fix: expect.stringContaining("sudo modprobe amdgpu"),
    });
  });

  it("takes no GPU of a virtual machine for a sign of the driver", async () => {
    const checks = await examine({ cards: CARDS.map((card) => ({ ...card, driver: "vfio-pci" })) });
    expect(checks.get("amdgpu driver")).toMatchObject({
      status: "problem",
      found: expect.stringContaining("not loaded"),
    });
    expect(checks.get("gpu 0000:01:00.0")?.found).toContain("vfio-pci");
  });

  it("counts the GPUs, and finds their device nodes", async () => {
    const checks = await examine({ cards: CARDS, nodes: true, sys: { "module/amdgpu/version": "6.12\n" } });
    expect(checks.get("amdgpu driver")).toMatchObject({ status: "ok", found: "loaded" });
    expect(checks.get("gpus")).toMatchObject({ status: "ok", found: "2 MI300X" });
    expect(checks.get("kfd")).toMatchObject({ status: "ok", found: expect.stringContaining("/dev/kfd") });
  });

  it("says what is missing where there is no /dev/kfd", async () => {
    expect((await examine({ cards: CARDS })).get("kfd")).toMatchObject({
      status: "problem",
      fix: expect.stringContaining("--device /dev/kfd"),
    });
  });

  it("names each GPU that cannot be used, and why", async () => {
    const [first] = CARDS;
    const { render: _render, ...broken } = { ...CARDS[1], card: "card1", pciAddress: "0000:02:00.0" };
    const checks = await examine({ cards: [first, broken].filter((card) => card !== undefined), nodes: true });
    expect(checks.get("gpu 0000:02:00.0")).toMatchObject({
      status: "problem",
      found: expect.stringContaining("render node"),
      fix: expect.any(String),
    });
    expect(checks.get("gpus")?.found).toBe("1 MI300X");
  });

  it.each([
    ["0", "ok"],
    ["1", "warning"],
  ])("judges NUMA balancing %s: %s", async (value, status) => {
    const checks = await examine({ cards: CARDS, proc: { "sys/kernel/numa_balancing": `${value}\n` } });
    expect(checks.get("numa balancing")?.status).toBe(status);
  });

  it.each([
    ["identity", "ok"],
    ["DMA-FQ", "warning"],
  ])("judges an IOMMU that treats the GPUs as %s: %s", async (kind, status) => {
    const sys = {
      "bus/pci/devices/0000:01:00.0/iommu_group/type": `${kind}\n`,
      "bus/pci/devices/0000:02:00.0/iommu_group/type": "identity\n",
    };
    const check = (await examine({ cards: CARDS, sys })).get("iommu");
    expect(check?.status).toBe(status);
    expect(check?.fix?.includes("iommu=pt") ?? false).toBe(status === "warning");
  });

  it("tells how much memory containers may lock, by the process that starts them", async () => {
    const proc = {
      "17/comm": "bash\n",
      "17/limits": limitsText({ "Max locked memory": "1" }),
      "42/comm": "containerd\n",
      "42/limits": limitsText({ "Max locked memory": "8388608" }),
    };
    expect((await examine({ cards: CARDS, proc })).get("locked memory")?.found).toContain("8 MiB");
  });
});
