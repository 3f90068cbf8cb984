import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../../../src/lib/clock.ts";
import { discoverGpus } from "../../../src/runtime/gpus/discover.ts";
import { SmiTools } from "../../../src/runtime/gpus/smi.ts";
import { FakeClock } from "../../support/clock.ts";
import { makeGpuTree, type FakeCard, type GpuTree } from "../../support/gpu-tree.ts";

const H100 = {
  card: "card1",
  pciAddress: "0000:4f:00.0",
  driver: "nvidia",
  files: { vendor: "0x10de", device: "0x2330", class: "0x030200", numa_node: "1" },
};
const UUID = "GPU-5e1c8f5a-0001-0002-0003-000000000004";
const H100_LINE = `${UUID}, 00000000:4F:00.0, 81559, 500, NVIDIA H100 80GB HBM3`;

/** A card that its driver serves and of which nothing is to be read. */
const SILENT = {
  card: "card1",
  pciAddress: "0000:c1:00.0",
  files: { mem_info_vram_total: undefined, mem_info_vram_used: undefined },
};
const AMD_LIST = '[{"gpu":0,"bdf":"0000:c1:00.0","render":"renderD130"}]';
const AMD_METRIC =
  '{"gpu_data":[{"gpu":0,"mem_usage":{"total_vram":{"value":196592,"unit":"MB"},"used_vram":{"value":283,"unit":"MB"}}}]}';
const ROCM =
  '{"card0":{"PCI Bus":"0000:C1:00.0","VRAM Total Memory (B)":"206141652992","VRAM Total Used Memory (B)":"297140224"}}';

describe("asking the vendors' tools", () => {
  let tree: GpuTree;
  let bin: string;
  let clock: FakeClock;
  let tools: SmiTools;

  beforeEach(async () => {
    bin = await mkdtemp(join(tmpdir(), "aim-bin-"));
    // The fake programs are the only ones there are.
    vi.stubEnv("PATH", bin);
    clock = new FakeClock();
    tools = new SmiTools({ clock });
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await Promise.all([tree.remove(), rm(bin, { recursive: true })]);
  });

  /** A shell script, which notes that it ran. */
  async function program(name: string, script: string): Promise<void> {
    await writeFile(join(bin, name), `#!/bin/sh\necho "$@" >> ${bin}/${name}.calls\n${script}\n`);
    await chmod(join(bin, name), 0o755);
  }

  async function calls(name: string): Promise<readonly string[]> {
    const text = await readFile(join(bin, `${name}.calls`), "utf8").catch(() => "");
    return text.split("\n").filter(Boolean);
  }

  const printing = (text: string) => `printf '%s\\n' '${text}'`;

  async function discover(cards: readonly FakeCard[]) {
    tree = await makeGpuTree(cards);
    return discoverGpus(tree, { tools });
  }

  it("starts none where everything is in the kernel's files", async () => {
    for (const name of ["nvidia-smi", "amd-smi", "rocm-smi"]) await program(name, "exit 1");
    await discover([
      { card: "card1", pciAddress: "0000:05:00.0", render: "renderD128" },
      { ...H100, driver: "vfio-pci" },
      { ...SILENT, driver: "vfio-pci" },
    ]);
    expect([await calls("nvidia-smi"), await calls("amd-smi"), await calls("rocm-smi")]).toEqual([[], [], []]);
  });

  it("lists NVIDIA's GPUs as nvidia-smi tells them", async () => {
    await program("nvidia-smi", printing(H100_LINE));
    expect(await discover([H100])).toEqual({
      gpus: [
        {
          id: "0000:4f:00.0",
          vendor: "nvidia",
          product: "H100",
          memoryBytes: 81_559 * 2 ** 20,
          usedBytes: 500 * 2 ** 20,
          numaNode: 1,
          cdiName: `nvidia.com/gpu=${UUID}`,
        },
      ],
    });
  });

  it.each([
    ["it is not installed", undefined, "nvidia-smi is not installed"],
    ["it fails", "echo 'NVIDIA-SMI has failed'; exit 9", "nvidia-smi failed: NVIDIA-SMI has failed"],
    ["it lists none", "echo 'No devices were found'", "nvidia-smi lists no GPU"],
    ["it lists others", printing(H100_LINE.replace("4F", "50")), "nvidia-smi does not list it"],
    ["it tells no size", printing(H100_LINE.replace("81559", "[N/A]")), "does not tell how much memory"],
    ["it tells no uuid", printing(H100_LINE.replace(UUID, "[N/A]")), "does not tell its uuid"],
  ])("lists NVIDIA's GPU as unusable when %s", async (_, script, reason) => {
    if (script !== undefined) await program("nvidia-smi", script);
    const { gpus } = await discover([H100]);
    expect(gpus).toMatchObject([{ id: "0000:4f:00.0", vendor: "nvidia", unusable: expect.stringContaining(reason) }]);
  });

  it.each([
    ["nouveau", "its driver is nouveau"],
    ["vfio-pci", "virtual machines"],
    ["none", "no driver"],
  ])("lists NVIDIA's GPU as unusable with the driver %s", async (driver, reason) => {
    await program("nvidia-smi", printing(H100_LINE));
    const { gpus } = await discover([H100, { ...H100, card: "card2", pciAddress: "0000:60:00.0", driver }]);
    expect(gpus.map((gpu) => gpu.unusable)).toEqual([undefined, expect.stringContaining(reason)]);
  });

  it("asks amd-smi for a card of which the kernel's files say nothing", async () => {
    await program("amd-smi", `if [ "$1" = list ]; then ${printing(AMD_LIST)}; else ${printing(AMD_METRIC)}; fi`);
    expect((await discover([SILENT])).gpus).toEqual([
      {
        id: "0000:c1:00.0",
        vendor: "amd",
        product: "MI300X",
        arch: "gfx942",
        memoryBytes: 196_592 * 2 ** 20,
        usedBytes: 283 * 2 ** 20,
        renderNode: join(tree.devRoot, "dri/renderD130"),
      },
    ]);
    expect(await calls("amd-smi")).toEqual(["list -e --json", "metric -m --json"]);
  });

  it("does without the newer list of amd-smi, and finds the render node by udev's link", async () => {
    const list = AMD_LIST.replace("renderD130", "N/A");
    await program(
      "amd-smi",
      `case "$1$2" in list-e) exit 2;; list*) ${printing(list)};; *) ${printing(AMD_METRIC)};; esac`,
    );
    tree = await makeGpuTree([SILENT]);
    await mkdir(join(tree.devRoot, "dri/by-path"));
    await symlink("../renderD131", join(tree.devRoot, "dri/by-path/pci-0000:c1:00.0-render"));
    const { gpus } = await discoverGpus(tree, { tools });
    expect(gpus).toMatchObject([{ id: "0000:c1:00.0", renderNode: join(tree.devRoot, "dri/renderD131") }]);
    expect(gpus[0]).not.toHaveProperty("unusable");
  });

  it("asks rocm-smi where amd-smi fails", async () => {
    await program("amd-smi", "echo 'user is missing the groups' >&2; exit 1");
    await program("rocm-smi", printing(ROCM));
    tree = await makeGpuTree([SILENT]);
    await mkdir(join(tree.devRoot, "dri/by-path"));
    await symlink("../renderD131", join(tree.devRoot, "dri/by-path/pci-0000:c1:00.0-render"));
    const { gpus } = await discoverGpus(tree, { tools });
    expect(gpus).toMatchObject([{ id: "0000:c1:00.0", memoryBytes: 206_141_652_992, usedBytes: 297_140_224 }]);
    expect(gpus[0]).not.toHaveProperty("unusable");
  });

  it("says what both said when neither helps", async () => {
    await program("amd-smi", "echo 'user is missing the groups' >&2; exit 1");
    const { gpus } = await discover([SILENT]);
    expect(gpus).toMatchObject([{ id: "0000:c1:00.0" }]);
    expect(gpus[0]?.unusable).toMatch(/no render node.*amd-smi failed: user is missing.*rocm-smi is not installed/);
  });

  it("leaves a card unusable that the tool tells no render node of", async () => {
    await program("rocm-smi", printing(ROCM));
    const { gpus } = await discover([SILENT]);
    expect(gpus).toMatchObject([{ id: "0000:c1:00.0", unusable: expect.stringContaining("no render node") }]);
  });

  it("asks once for all who ask at the same time, and anew after two seconds", async () => {
    await program("nvidia-smi", printing(H100_LINE));
    await discover([H100]);
    await Promise.all([discoverGpus(tree, { tools }), discoverGpus(tree, { tools })]);
    expect(await calls("nvidia-smi")).toHaveLength(1);
    await clock.advance(2_000);
    await Promise.all([discoverGpus(tree, { tools }), discoverGpus(tree, { tools })]);
    expect(await calls("nvidia-smi")).toHaveLength(2);
  });

  it("leaves a tool that fails alone for a minute", async () => {
    await program("nvidia-smi", "exit 1");
    await discover([H100]);
    await clock.advance(59_999);
    await discoverGpus(tree, { tools });
    expect(await calls("nvidia-smi")).toHaveLength(1);
    await program("nvidia-smi", printing(H100_LINE));
    await clock.advance(1);
    const { gpus } = await discoverGpus(tree, { tools });
    expect(gpus[0]).not.toHaveProperty("unusable");
  });

  it("kills a tool that does not answer", async () => {
    await program("nvidia-smi", `while :; do :; done`);
    tools = new SmiTools({ clock: systemClock, timeoutMs: 200 });
    const { gpus } = await discover([H100]);
    expect(gpus).toMatchObject([{ unusable: expect.stringContaining("nvidia-smi gave no answer within 200 ms") }]);
  });

  it("asks for what it reads, in that order", async () => {
    await program("nvidia-smi", printing(H100_LINE));
    await discover([H100]);
    expect(await calls("nvidia-smi")).toEqual([
      "--query-gpu=uuid,pci.bus_id,memory.total,memory.used,name --format=csv,noheader,nounits",
    ]);
  });
});
