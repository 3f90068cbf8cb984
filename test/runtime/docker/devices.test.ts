import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { systemClock } from "../../../src/lib/clock.ts";
import { accessTo, type Host } from "../../../src/runtime/docker/devices.ts";
import { SmiTools } from "../../../src/runtime/gpus/smi.ts";
import { makeGpuTree, type FakeCard } from "../../support/gpu-tree.ts";

/** Render nodes in another order than PCI addresses, as drivers number them. */
const FIRST = { card: "card1", pciAddress: "0000:05:00.0", render: "renderD128" };
const SECOND = { card: "card2", pciAddress: "0000:03:00.0", render: "renderD129" };
const H100 = {
  card: "card3",
  pciAddress: "0000:4f:00.0",
  driver: "nvidia",
  files: { vendor: "0x10de", device: "0x2330", class: "0x030200" },
};
const UUID = "GPU-5e1c8f5a-0001-0002-0003-000000000004";

describe("accessTo", () => {
  afterEach(() => vi.unstubAllEnvs());

  async function host(cards: readonly FakeCard[], overrides: Partial<Host> = {}): Promise<Host> {
    const roots = await makeGpuTree(cards);
    onTestFinished(() => roots.remove());
    const engine = () => Promise.reject(new Error("the engine was asked needlessly"));
    return { roots, tools: new SmiTools({ clock: systemClock }), setting: "auto", engine, ...overrides };
  }

  /** The one program there is. */
  async function installNvidiaSmi(): Promise<void> {
    const bin = await mkdtemp(join(tmpdir(), "aim-bin-"));
    onTestFinished(() => rm(bin, { recursive: true }));
    const line = `${UUID}, 00000000:4F:00.0, 81559, 500, NVIDIA H100 80GB HBM3`;
    await writeFile(join(bin, "nvidia-smi"), `#!/bin/sh\nprintf '%s\\n' '${line}'\n`);
    await chmod(join(bin, "nvidia-smi"), 0o755);
    vi.stubEnv("PATH", bin);
  }

  it("names the nodes in the order of the replica's GPUs, as containers see them", async () => {
    const machine = await host([FIRST, SECOND]);
    const { nodes, requests } = await accessTo([FIRST.pciAddress, SECOND.pciAddress], machine);
    expect(requests).toEqual([]);
    expect(nodes).toEqual(
      ["kfd", "dri/renderD128", "dri/renderD129"].map((node) => ({
        onHost: join(machine.roots.devRoot, node),
        inContainer: `/dev/${node}`,
      })),
    );
  });

  it("names CDI devices by the order of PCI addresses, which is not that of render nodes", async () => {
    const machine = await host([FIRST, SECOND], { setting: "cdi" });
    const { nodes, requests } = await accessTo([FIRST.pciAddress, SECOND.pciAddress], machine);
    expect(nodes).toEqual([]);
    expect(requests).toEqual([{ Driver: "cdi", DeviceIDs: ["amd.com/gpu=1", "amd.com/gpu=0"], Count: 0 }]);
  });

  it.each([
    [true, { Driver: "cdi", DeviceIDs: [`nvidia.com/gpu=${UUID}`], Count: 0 }],
    [false, { Driver: "nvidia", DeviceIDs: [UUID], Capabilities: [["gpu"]] }],
  ])("asks the engine how to give NVIDIA's GPUs: CDI %s", async (nvidiaCdi, request) => {
    await installNvidiaSmi();
    const machine = await host([H100], { engine: () => Promise.resolve({ nvidiaCdi }) });
    expect(await accessTo([H100.pciAddress], machine)).toMatchObject({ nodes: [], groups: [], requests: [request] });
  });

  it("gives nothing where no GPU is asked for", async () => {
    expect(await accessTo([], await host([]))).toMatchObject({ nodes: [], requests: [], seccomp: "default" });
  });

  it.each([
    ["is not there", ["0000:99:00.0"], "GPU 0000:99:00.0 is not on this machine any more (there: 0000:03:00.0, "],
    ["cannot be used", [H100.pciAddress], `GPU ${H100.pciAddress} cannot be given to a container: nvidia-smi`],
  ])("refuses a GPU that %s", async (_, gpus, words) => {
    vi.stubEnv("PATH", "");
    const machine = await host([FIRST, SECOND, H100]);
    await expect(accessTo(gpus, machine)).rejects.toMatchObject({
      code: "runtime_failed",
      data: { failure: "no_gpu_access" },
      message: expect.stringContaining(words),
    });
  });

  it("refuses GPUs of two vendors for one replica", async () => {
    await installNvidiaSmi();
    const machine = await host([FIRST, H100]);
    await expect(accessTo([FIRST.pciAddress, H100.pciAddress], machine)).rejects.toThrow("more than one vendor");
  });
});
