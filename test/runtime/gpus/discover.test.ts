import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { discoverGpus } from "../../../src/runtime/gpus/discover.ts";
import { makeGpuTree, type FakeCard, type GpuTree } from "../../support/gpu-tree.ts";

const FIRST = { card: "card1", pciAddress: "0000:05:00.0", render: "renderD128" };
const SECOND = { card: "card2", pciAddress: "0000:03:00.0", render: "renderD129" };

describe("discoverGpus", () => {
  let tree: GpuTree | undefined;
  afterEach(() => tree?.remove());

  async function discover(cards: readonly FakeCard[]) {
    tree = await makeGpuTree(cards);
    return discoverGpus(tree);
  }

  it("names GPUs by PCI address, in that order, whatever their card and render numbers", async () => {
    const { gpus } = await discover([FIRST, SECOND]);
    expect(gpus.map((gpu) => [gpu.id, gpu.renderNode])).toEqual([
      ["0000:03:00.0", join(tree!.devRoot, "dri/renderD129")],
      ["0000:05:00.0", join(tree!.devRoot, "dri/renderD128")],
    ]);
  });

  it("reads product, size and use", async () => {
    const { gpus } = await discover([FIRST]);
    expect(gpus[0]).toMatchObject({
      vendor: "amd",
      product: "MI300X",
      arch: "gfx942",
      memoryBytes: 206_141_652_992,
      usedBytes: 297_140_224,
    });
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

  it("leaves the use open where the driver does not tell it", async () => {
    const { gpus } = await discover([{ ...FIRST, files: { mem_info_vram_used: undefined } }]);
    expect(gpus[0]).not.toHaveProperty("usedBytes");
  });

  it.each([
    ["its size cannot be read", { ...FIRST, files: { mem_info_vram_total: undefined } }, "mem_info_vram_total"],
    ["its size is no number", { ...FIRST, files: { mem_info_vram_total: "N/A" } }, "N/A"],
    ["it has no render node", { card: "card1", pciAddress: "0000:05:00.0" }, "render node"],
    ["it is no PCI device", { ...FIRST, pciAddress: "amdgpu_xcp_1" }, "amdgpu_xcp_1"],
  ])("skips a card with the reason when %s, and keeps the others", async (_, card, reason) => {
    const { gpus } = await discover([card, SECOND]);
    expect(gpus.filter((gpu) => gpu.unusable === undefined).map((gpu) => gpu.id)).toEqual(["0000:03:00.0"]);
    expect(gpus.find((gpu) => gpu.unusable !== undefined)?.unusable).toContain(reason);
  });

  it("passes over other vendors' cards and connectors", async () => {
    const vga = { card: "card0", pciAddress: "0000:02:00.0", files: { vendor: "0x1a03" } };
    tree = await makeGpuTree([vga, FIRST]);
    await mkdir(join(tree.sysRoot, "class/drm/card1-DP-1"));
    const { gpus } = await discoverGpus(tree);
    expect(gpus.map((gpu) => gpu.id)).toEqual(["0000:05:00.0"]);
  });

  it("finds nothing on a machine without a graphics driver", async () => {
    const found = await discoverGpus({ sysRoot: "/no/such/folder", devRoot: "/dev" });
    expect(found).toEqual({ gpus: [] });
  });
});
