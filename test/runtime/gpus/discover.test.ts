import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { discoverGpus, type HostGpu } from "../../../src/runtime/gpus/discover.ts";
import { EIGHT_MI300X, FIVE_MI210, ONE_MI250X, TWO_MI300X_DIVIDED } from "../../support/gpu-machines.ts";
import { makeGpuTree, type FakeCard, type FakeNode, type GpuTree } from "../../support/gpu-tree.ts";

const FIRST = { card: "card1", pciAddress: "0000:05:00.0", render: "renderD128" };
const SECOND = { card: "card2", pciAddress: "0000:03:00.0", render: "renderD129" };
const node = (number: number, render: string, rest: Partial<FakeNode> = {}) => ({ node: number, render, ...rest });

describe("discoverGpus", () => {
  let tree: GpuTree;
  afterEach(() => tree.remove());

  /** With ordinary files as device nodes, which are only looked at; `nodes: "none"` is a container without them. */
  async function discover(cards: readonly FakeCard[], { nodes = "all" }: { nodes?: "all" | "none" } = {}) {
    tree = await makeGpuTree(cards);
    if (nodes === "all") await makeNodes(cards);
    return discoverGpus(tree);
  }

  async function makeNodes(cards: readonly FakeCard[]): Promise<void> {
    const renders = cards.flatMap(({ render, kfd = [] }) => [render, ...kfd.map((one) => one.render)]);
    const names = renders.flatMap((render) => (render === undefined ? [] : [`dri/${render}`]));
    for (const name of ["kfd", ...names]) await writeFile(join(tree.devRoot, name), "");
  }

  const at = (render: string) => join(tree.devRoot, "dri", render);

  describe("on machines that exist", () => {
    it("lists eight MI300X with their CPUs and links", async () => {
      const found = await discover(EIGHT_MI300X);
      const gpu = (bus: string, index: number): HostGpu => ({
        id: `0000:${bus}:00.0`,
        vendor: "amd",
        product: "MI300X",
        arch: "gfx942",
        memoryBytes: 206_141_652_992,
        usedBytes: 297_140_224,
        numaNode: index < 4 ? 0 : 1,
        hive: "2095653680343411291",
        renderNode: at(`renderD${128 + 8 * index}`),
        cdiName: `amd.com/gpu=${index}`,
      });
      expect(found).toEqual({ gpus: ["05", "26", "46", "65", "85", "a6", "c6", "e5"].map(gpu) });
    });

    it("lists every part of divided MI300X by card and render node, with its own memory", async () => {
      const found = await discover(TWO_MI300X_DIVIDED);
      const part = (bus: string, numaNode: number) => (minor: number) => ({
        id: `0000:${bus}:00.0/renderD${minor}`,
        vendor: "amd",
        product: "MI300X",
        arch: "gfx942",
        memoryBytes: 25_769_803_776,
        usedBytes: 363_483_136,
        partition: "CPX/NPS4",
        numaNode,
        hive: "2095653680343411291",
        renderNode: at(`renderD${minor}`),
      });
      expect(found).toEqual({
        gpus: [
          ...[128, 136, 137, 138, 139, 140, 141, 142].map(part("05", 0)),
          ...[129, 130, 131, 132, 133, 134, 135, 143].map(part("26", 1)),
        ],
      });
    });

    it("lists an MI250X as the two devices that it is", async () => {
      const found = await discover(ONE_MI250X);
      const gpu = (bus: string, index: number): HostGpu => ({
        id: `0000:${bus}:00.0`,
        vendor: "amd",
        product: "MI250X",
        arch: "gfx90a",
        memoryBytes: 68_702_699_520,
        usedBytes: 11_079_680,
        numaNode: 3,
        hive: "12609507387757274807",
        renderNode: at(`renderD${128 + index}`),
        cdiName: `amd.com/gpu=${index}`,
      });
      expect(found).toEqual({ gpus: ["29", "2c"].map(gpu) });
    });

    const MI210 = {
      vendor: "amd",
      product: "MI210",
      arch: "gfx90a",
      memoryBytes: 68_702_699_520,
      usedBytes: 11_079_680,
    } as const;

    it("keeps address, render node, node of the topology and CDI's number apart where all four orders differ", async () => {
      const found = await discover(FIVE_MI210);
      expect(found).toEqual({
        gpus: [
          { ...MI210, id: "0000:03:00.0", renderNode: at("renderD130"), cdiName: "amd.com/gpu=0" },
          { ...MI210, id: "0000:26:00.0", renderNode: at("renderD131"), cdiName: "amd.com/gpu=1" },
          { ...MI210, id: "0000:43:00.0", renderNode: at("renderD129"), cdiName: "amd.com/gpu=2" },
          { ...MI210, id: "0000:63:00.0", renderNode: at("renderD128"), cdiName: "amd.com/gpu=3" },
          { ...MI210, id: "0000:e3:00.0", renderNode: at("renderD132"), cdiName: "amd.com/gpu=4" },
        ],
      });
    });

    it("lists different cards of one machine, each as what it is", async () => {
      const mi300x = { card: "card8", pciAddress: "0000:e5:00.0", render: "renderD140" };
      const found = await discover([
        { ...mi300x, kfd: [node(9, "renderD140")], files: { numa_node: "1" } },
        ...FIVE_MI210.slice(0, 1),
      ]);
      expect(found).toEqual({
        gpus: [
          { ...MI210, id: "0000:63:00.0", renderNode: at("renderD128"), cdiName: "amd.com/gpu=0" },
          {
            id: "0000:e5:00.0",
            vendor: "amd",
            product: "MI300X",
            arch: "gfx942",
            memoryBytes: 206_141_652_992,
            usedBytes: 297_140_224,
            numaNode: 1,
            renderNode: at("renderD140"),
            cdiName: "amd.com/gpu=1",
          },
        ],
      });
    });

    it("lists the cards of a machine without the compute driver as the graphics driver shows them", async () => {
      const found = await discover([FIRST, SECOND]);
      const gpu = (id: string, render: string, index: number): HostGpu => ({
        id,
        vendor: "amd",
        product: "MI300X",
        arch: "gfx942",
        memoryBytes: 206_141_652_992,
        usedBytes: 297_140_224,
        renderNode: at(render),
        cdiName: `amd.com/gpu=${index}`,
      });
      expect(found).toEqual({ gpus: [gpu("0000:03:00.0", "renderD129", 0), gpu("0000:05:00.0", "renderD128", 1)] });
    });

    it("finds nothing on a machine without GPUs", async () => {
      expect(await discover([])).toEqual({ gpus: [] });
    });

    it("finds nothing where there is no /sys at all", async () => {
      tree = await makeGpuTree([]);
      expect(await discoverGpus({ sysRoot: "/no/such/folder", devRoot: "/no/such/folder" })).toEqual({ gpus: [] });
    });

    it("passes over what is no GPU", async () => {
      const vga = { card: "card0", pciAddress: "0000:02:00.0", driver: "ast", files: { vendor: "0x1a03" } };
      const sound = { card: "card9", pciAddress: "0000:05:00.1", driver: "snd", files: { class: "0x040300" } };
      const { gpus } = await discover([vga, sound, FIRST]);
      expect(gpus.map((gpu) => gpu.id)).toEqual(["0000:05:00.0"]);
    });
  });

  describe("with a compute driver", () => {
    it("joins parts with their card where their number stands above the address", async () => {
      const part = (index: number) => ({ location_id: String(0x0500 + index * 2 ** 28) });
      const kfd = [0, 1, 9].map((index) => node(2 + index, `renderD${128 + index}`, { properties: part(index) }));
      const { gpus } = await discover([{ ...FIRST, kfd }]);
      expect(gpus.map(({ id, partition }) => [id, partition])).toEqual([
        ["0000:05:00.0/renderD128", "3 parts"],
        ["0000:05:00.0/renderD129", "3 parts"],
        ["0000:05:00.0/renderD137", "3 parts"],
      ]);
    });

    it("knows the only part that it may see for a part", async () => {
      const files = { current_compute_partition: "DPX", current_memory_partition: "NPS1" };
      const kfd = [node(2, "renderD128", { denied: true }), node(3, "renderD129", { memory: "103070826496" })];
      const { gpus } = await discover([{ ...FIRST, files, kfd }]);
      expect(gpus).toMatchObject([
        { id: "0000:05:00.0/renderD129", partition: "DPX/NPS1", memoryBytes: 103_070_826_496 },
      ]);
    });

    it("joins a node with the card that has its render node, whatever address the driver gives", async () => {
      const kfd = [node(2, "renderD128", { properties: { location_id: "0", hive_id: "7" } })];
      const { gpus } = await discover([
        { ...FIRST, kfd },
        { ...SECOND, kfd: [node(3, "renderD129")] },
      ]);
      expect(gpus.map(({ id, hive }) => [id, hive])).toEqual([
        ["0000:03:00.0", undefined],
        ["0000:05:00.0", "7"],
      ]);
    });

    it("keeps cards apart that have the same address in two PCI domains", async () => {
      const far = { card: "card2", pciAddress: "10000:05:00.0", render: "renderD129" };
      const { gpus } = await discover([
        { ...far, kfd: [node(2, "renderD129", { properties: { domain: "65536" } })] },
        { ...FIRST, kfd: [node(3, "renderD128")] },
      ]);
      expect(gpus.map((gpu) => [gpu.id, gpu.renderNode])).toEqual([
        ["0000:05:00.0", at("renderD128")],
        ["10000:05:00.0", at("renderD129")],
      ]);
    });

    it("takes everything from the compute driver where the PCI bus is hidden", async () => {
      tree = await makeGpuTree([{ ...FIRST, kfd: [node(2, "renderD128", { used: "1024" })] }]);
      await rm(join(tree.sysRoot, "bus"), { recursive: true });
      await writeFile(join(tree.devRoot, "kfd"), "");
      await writeFile(join(tree.devRoot, "dri/renderD128"), "");
      expect(await discoverGpus(tree)).toEqual({
        gpus: [
          {
            id: "0000:05:00.0",
            vendor: "amd",
            product: "MI300X",
            arch: "gfx942",
            memoryBytes: 206_141_652_992,
            usedBytes: 1024,
            renderNode: at("renderD128"),
          },
        ],
      });
    });

    it("cannot use a card that the compute driver does not list", async () => {
      const { gpus } = await discover([FIRST, { ...SECOND, kfd: [node(2, "renderD129")] }]);
      expect(gpus).toMatchObject([{ id: "0000:03:00.0" }, { id: "0000:05:00.0" }]);
      expect(gpus.map((gpu) => gpu.unusable)).toEqual([
        undefined,
        "the compute driver does not list it, so that ROCm cannot use it",
      ]);
      expect(gpus.map((gpu) => gpu.cdiName)).toEqual([undefined, undefined]);
    });

    it.each(["domain", "location_id", "drm_render_minor", "device_id"])(
      "cannot use a card whose node has a bad %s, and can use the others",
      async (property) => {
        for (const content of [undefined, "garbage", "-1", "99999999999999999999"]) {
          const bad = { ...FIRST, kfd: [node(2, "renderD128", { properties: { [property]: content } })] };
          const { gpus } = await discover([bad, { ...SECOND, kfd: [node(3, "renderD129")] }]);
          expect(gpus.map((gpu) => gpu.id)).toEqual(["0000:03:00.0", "0000:05:00.0"]);
          expect(gpus[0]).not.toHaveProperty("unusable");
          expect(gpus[1]?.unusable).toContain(property);
          await tree.remove();
        }
      },
    );

    it.each([
      ["gfx_target_version", "0", "arch", "gfx942"],
      ["gfx_target_version", "garbage", "arch", "gfx942"],
      ["gfx_target_version", undefined, "arch", "gfx942"],
      ["gfx_target_version", "120001", "arch", "gfx1201"],
      ["hive_id", "0", "hive", undefined],
      ["hive_id", "garbage", "hive", undefined],
      ["hive_id", undefined, "hive", undefined],
      ["hive_id", "18446744073709551615", "hive", "18446744073709551615"],
    ] as const)("with a %s of %s has the %s %s", async (property, content, field, expected) => {
      const { gpus } = await discover([
        { ...FIRST, kfd: [node(2, "renderD128", { properties: { [property]: content } })] },
      ]);
      expect(gpus.map((gpu) => [gpu.id, gpu[field], gpu.unusable])).toEqual([["0000:05:00.0", expected, undefined]]);
    });

    it("takes the size from the compute driver where the graphics driver does not tell it", async () => {
      const files = { mem_info_vram_total: "N/A", mem_info_vram_used: undefined };
      const kfd = [node(2, "renderD128", { memory: "1000000", used: "1000" })];
      const { gpus } = await discover([{ ...FIRST, files, kfd }]);
      expect(gpus).toMatchObject([{ memoryBytes: 1_000_000, usedBytes: 1000 }]);
      expect(gpus[0]).not.toHaveProperty("unusable");
    });
  });

  describe("with a card that is not in order", () => {
    it.each([undefined, "", "garbage", "-1", "0", "99999999999999999999"])(
      "cannot use it when its size is %j, and can use the others",
      async (mem_info_vram_total) => {
        const { gpus } = await discover([{ ...FIRST, files: { mem_info_vram_total } }, SECOND]);
        expect(gpus.map((gpu) => gpu.id)).toEqual(["0000:03:00.0", "0000:05:00.0"]);
        expect(gpus[0]).not.toHaveProperty("unusable");
        expect(gpus[1]).toEqual({
          id: "0000:05:00.0",
          vendor: "amd",
          product: "MI300X",
          arch: "gfx942",
          memoryBytes: 0,
          renderNode: at("renderD128"),
          cdiName: "amd.com/gpu=1",
          unusable: expect.stringContaining("how much memory"),
        });
      },
    );

    it.each([undefined, "", "garbage", "-1", "99999999999999999999", "206141652993"])(
      "leaves its use open when that is %j",
      async (mem_info_vram_used) => {
        const { gpus } = await discover([{ ...FIRST, files: { mem_info_vram_used } }]);
        expect(gpus).toMatchObject([{ memoryBytes: 206_141_652_992 }]);
        expect(gpus[0]).not.toHaveProperty("usedBytes");
        expect(gpus[0]).not.toHaveProperty("unusable");
      },
    );

    it.each([
      ["is bound to vfio-pci", { driver: "vfio-pci" }, "virtual machines"],
      ["has no driver", { driver: "none" }, "no driver"],
      ["has no render node", { render: undefined }, "gives it no render node"],
    ])("cannot use one that %s, and numbers the others as CDI may", async (_, change, reason) => {
      const { render, ...rest } = { ...SECOND, ...change };
      const { gpus } = await discover([FIRST, render === undefined ? rest : { ...rest, render }]);
      expect(gpus.map((gpu) => gpu.id)).toEqual(["0000:03:00.0", "0000:05:00.0"]);
      expect(gpus[0]?.unusable).toContain(reason);
      expect(gpus[1]).not.toHaveProperty("unusable");
      // Whether a card without a render node is counted depends on the version of the toolkit.
      expect(gpus[1]?.cdiName).toBe("render" in change ? undefined : "amd.com/gpu=0");
    });

    it("leaves cards out where nobody loaded a driver", async () => {
      expect(await discover([{ ...FIRST, driver: "none" }])).toEqual({ gpus: [] });
    });

    it.each([
      ["AMD Instinct MI455X OAM", "MI455X"],
      ["AMD Radeon PRO W7900", "AMD Radeon PRO W7900"],
      ["", "AMD 0x9999"],
      [undefined, "AMD 0x9999"],
    ])("names a product it does not know by the kernel's name %j", async (name, product) => {
      const { gpus } = await discover([{ ...FIRST, files: { device: "0x9999", product_name: name } }]);
      expect(gpus.map((gpu) => gpu.product)).toEqual([product]);
      expect(gpus[0]).not.toHaveProperty("arch");
    });

    it.each([
      ["-1", undefined],
      ["0", 0],
      ["garbage", undefined],
      [undefined, undefined],
    ])("with the NUMA node %j is at %j", async (numa_node, expected) => {
      const { gpus } = await discover([{ ...FIRST, files: { numa_node } }]);
      expect(gpus.map((gpu) => gpu.numaNode)).toEqual([expected]);
    });
  });

  describe("with device nodes missing", () => {
    it("cannot use a GPU whose node is gone while those of others are there", async () => {
      await discover(EIGHT_MI300X);
      await rm(at("renderD136"));
      const { gpus } = await discoverGpus(tree);
      expect(gpus.filter((gpu) => gpu.unusable !== undefined)).toMatchObject([
        { id: "0000:26:00.0", unusable: expect.stringContaining(`${at("renderD136")} is missing`) },
      ]);
    });

    it("lists cards to a container without device nodes, which the kernel shows no topology to, and says what to add", async () => {
      const cards = EIGHT_MI300X.map((card) => ({
        ...card,
        kfd: (card.kfd ?? []).map((one) => ({ ...one, denied: true })),
      }));
      const { gpus, hint } = await discover(cards, { nodes: "none" });
      expect(gpus[3]).toEqual({
        id: "0000:65:00.0",
        vendor: "amd",
        product: "MI300X",
        arch: "gfx942",
        memoryBytes: 206_141_652_992,
        usedBytes: 297_140_224,
        numaNode: 0,
        renderNode: at("renderD152"),
        cdiName: "amd.com/gpu=3",
      });
      expect(gpus.filter((gpu) => gpu.unusable !== undefined)).toEqual([]);
      const [kfd, dri] = ["kfd", "dri"].map((name) => join(tree.devRoot, name));
      expect(hint).toContain(`cannot see ${kfd} and ${dri}; `);
      expect(hint).toContain(`"--device ${kfd} --device ${dri}"`);
    });

    it("cannot use a divided card without them, since only the topology tells its parts", async () => {
      const [card] = TWO_MI300X_DIVIDED;
      const kfd = [node(2, "renderD128", { denied: true })];
      const { gpus, hint } = await discover(card === undefined ? [] : [{ ...card, kfd }], { nodes: "none" });
      expect(gpus).toMatchObject([
        { id: "0000:05:00.0", partition: "CPX/NPS4", unusable: expect.stringContaining("give the gateway /dev/kfd") },
      ]);
      expect(hint).toContain("--device");
    });

    it("says that some are kept from a container with some of them", async () => {
      const denied = { ...FIRST, kfd: [node(2, "renderD128", { denied: true })] };
      tree = await makeGpuTree([denied, { ...SECOND, kfd: [node(3, "renderD129")] }]);
      await makeNodes([SECOND]);
      const { gpus, hint } = await discoverGpus(tree);
      expect(gpus.map((gpu) => gpu.unusable)).toEqual([undefined, expect.stringContaining("is missing")]);
      expect(hint).toContain("some GPUs' device nodes are kept from the gateway");
    });

    it("gives no hint where no card could be used anyway", async () => {
      expect(await discover([{ ...FIRST, driver: "vfio-pci" }], { nodes: "none" })).not.toHaveProperty("hint");
    });
  });

  it("sees the memory of cards and parts change", async () => {
    await discover([...EIGHT_MI300X.slice(0, 1), ...TWO_MI300X_DIVIDED.slice(1)]);
    await tree.setUsed("0000:05:00.0", 150_000_000_000);
    await tree.setUsed("0000:26:00.0/renderD131", 20_000_000_000);
    const { gpus } = await discoverGpus(tree);
    expect(gpus.filter((gpu) => (gpu.usedBytes ?? 0) > 10_000_000_000).map((gpu) => [gpu.id, gpu.usedBytes])).toEqual([
      ["0000:05:00.0", 150_000_000_000],
      ["0000:26:00.0/renderD131", 20_000_000_000],
    ]);
  });
});
