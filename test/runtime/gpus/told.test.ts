import { describe, expect, it } from "vitest";
import { parseAmdSmi } from "../../../src/runtime/gpus/amd-smi.ts";
import { parseNvidiaSmi } from "../../../src/runtime/gpus/nvidia-smi.ts";
import { nvidiaProduct } from "../../../src/runtime/gpus/products.ts";
import { parseRocmSmi } from "../../../src/runtime/gpus/rocm-smi.ts";
import { bytesOf, jsonIn } from "../../../src/runtime/gpus/told.ts";

const MIB = 2 ** 20;

describe("bytesOf", () => {
  it.each([
    [{ value: 5, unit: "MB" }, 5 * MIB],
    [{ value: "5", unit: "GiB" }, 5 * 2 ** 30],
    [{ value: 5 }, 5 * MIB],
    [5, 5 * MIB],
    ["5", 5 * MIB],
    [" 5 KB ", 5 * 1024],
    ["1.5 GB", 1.5 * 2 ** 30],
    ["5 B", 5],
    ["N/A", undefined],
    ["[N/A]", undefined],
    ["[Not Supported]", undefined],
    [{ value: "N/A", unit: "MB" }, undefined],
    [{ value: 5, unit: "furlongs" }, undefined],
    [{}, undefined],
    ["", undefined],
    ["-1", undefined],
    [-1, undefined],
    [Number.NaN, undefined],
    [Number.MAX_SAFE_INTEGER, undefined],
    [null, undefined],
    [[5], undefined],
  ])("reads %j as %j", (amount, bytes) => {
    expect(bytesOf(amount, "MB")).toBe(bytes);
  });
});

describe("jsonIn", () => {
  it.each([
    ['[{"gpu":0}]', [{ gpu: 0 }]],
    ['WARNING: User is missing the group "render"\n\n{"gpu_data":[]}\n', { gpu_data: [] }],
    ["[WARN] old driver {really}\n[1]\nbye", [1]],
    ["", undefined],
    ["no JSON", undefined],
    ["[WARN] nothing else", undefined],
    ['{"cut": [1, 2', undefined],
  ])("finds within %j the value %j", (output, value) => {
    expect(jsonIn(output)).toEqual(value);
  });
});

describe("parseAmdSmi", () => {
  const list = [
    { gpu: 0, bdf: "0000:C1:00.0", uuid: "x", kfd_id: 24_248, node_id: 2, partition_id: 0 },
    { gpu: 1, bdf: "0000:03:00.0", partition_id: 0, card: "card1", render: "renderD128", hip_id: 0 },
  ];
  const usage = (gpu: number, used: unknown) => ({
    gpu,
    mem_usage: { total_vram: { value: 196_592, unit: "MB" }, used_vram: used, free_vram: "N/A" },
    usage: { gfx_activity: { value: 0, unit: "%" } },
  });
  const metrics = [usage(1, { value: 283, unit: "MB" }), usage(0, 300)];
  const expected = [
    { address: "0000:c1:00.0", memoryBytes: 196_592 * MIB, usedBytes: 300 * MIB },
    { address: "0000:03:00.0", renderMinor: 128, memoryBytes: 196_592 * MIB, usedBytes: 283 * MIB },
  ];

  it.each([
    ["bare lists", list, metrics],
    ["wrapped metrics", list, { gpu_data: metrics }],
    ["both wrapped", { gpu_data: list }, { gpu_data: metrics }],
    ["numbers of GPUs as text", list.map((row) => ({ ...row, gpu: String(row.gpu) })), metrics],
  ])("joins list and metrics by number: %s", (_, listed, measured) => {
    expect(parseAmdSmi(JSON.stringify(listed), JSON.stringify(measured))).toEqual(expected);
  });

  it("keeps what it understands", () => {
    const listed = [null, 7, { gpu: 9 }, { gpu: 8, bdf: "N/A" }, { ...list[1], render: "N/A" }];
    const measured = [{ gpu: 1, mem_usage: "N/A" }];
    expect(parseAmdSmi(JSON.stringify(listed), JSON.stringify(measured))).toEqual([{ address: "0000:03:00.0" }]);
    expect(parseAmdSmi(JSON.stringify(list.slice(1)), "no JSON")).toEqual([
      { address: "0000:03:00.0", renderMinor: 128 },
    ]);
  });

  it("takes the parts of a card for one", () => {
    const parts = [0, 1, 2].map((part) => ({ gpu: part, bdf: "0000:03:00.0", partition_id: part }));
    expect(parseAmdSmi(JSON.stringify(parts), "[]")).toEqual([{ address: "0000:03:00.0" }]);
  });

  it.each(["", "ERROR: no driver", "{}", "7"])("understands nothing of %j", (output) => {
    expect(parseAmdSmi(output, "[]")).toBeUndefined();
  });
});

describe("parseRocmSmi", () => {
  it("reads cards, whose values are all texts", () => {
    const output = {
      card0: {
        "PCI Bus": "0000:C1:00.0",
        "Card Series": "AMD Instinct MI300X OAM",
        "VRAM Total Memory (B)": "206141652992",
        "VRAM Total Used Memory (B)": "297140224",
        "GFX Version": "gfx942",
      },
      card1: { "PCI Bus": "0000:C2:00.0", "Card series": "N/A", "VRAM Total Memory (B)": "N/A" },
      card2: { "VRAM Total Memory (B)": "5" },
      system: { "Driver version": "6.12" },
    };
    expect(parseRocmSmi(`WARNING: AMD GPU device(s) is/are in a low-power state.\n${JSON.stringify(output)}`)).toEqual([
      {
        address: "0000:c1:00.0",
        name: "AMD Instinct MI300X OAM",
        memoryBytes: 206_141_652_992,
        usedBytes: 297_140_224,
      },
      { address: "0000:c2:00.0" },
    ]);
  });

  it.each(["", "No AMD GPUs detected", "[]"])("understands nothing of %j", (output) => {
    expect(parseRocmSmi(output)).toBeUndefined();
  });
});

describe("parseNvidiaSmi", () => {
  it("reads lines, with the address as the kernel writes it", () => {
    const output = [
      "GPU-5e1c8f5a-0001-0002-0003-000000000004, 00000000:4F:00.0, 81559, 1, NVIDIA H100 80GB HBM3",
      "GPU-5e1c8f5a-0001-0002-0003-000000000005, 00010000:4F:00.0, [N/A], [Not Supported], NVIDIA GB10, desk edition",
      "[Unknown Error], 00000000:50:00.0, 81559, 1, [Unknown Error]",
      "No devices were found",
      "",
    ].join("\r\n");
    expect(parseNvidiaSmi(output)).toEqual([
      {
        address: "0000:4f:00.0",
        uuid: "GPU-5e1c8f5a-0001-0002-0003-000000000004",
        name: "NVIDIA H100 80GB HBM3",
        memoryBytes: 81_559 * MIB,
        usedBytes: MIB,
      },
      {
        address: "10000:4f:00.0",
        uuid: "GPU-5e1c8f5a-0001-0002-0003-000000000005",
        name: "NVIDIA GB10, desk edition",
      },
      { address: "0000:50:00.0", memoryBytes: 81_559 * MIB, usedBytes: MIB },
    ]);
  });
});

describe("nvidiaProduct", () => {
  it.each([
    ["NVIDIA H100 80GB HBM3", "H100"],
    ["NVIDIA H100 PCIe", "H100"],
    ["NVIDIA H200", "H200"],
    ["NVIDIA A100-SXM4-80GB", "A100"],
    ["NVIDIA L40S", "L40S"],
    ["NVIDIA GH200 480GB", "GH200"],
    ["NVIDIA B200", "B200"],
    ["Tesla V100-SXM2-32GB", "V100"],
    ["NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 4090"],
    ["NVIDIA RTX 6000 Ada Generation", "NVIDIA RTX 6000 Ada Generation"],
    ["NVIDIA T1000 8GB", "NVIDIA T1000 8GB"],
    ["something else", "something else"],
  ])("calls %j %j", (name, product) => {
    expect(nvidiaProduct(name)).toBe(product);
  });
});
