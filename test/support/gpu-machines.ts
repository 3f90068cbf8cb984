// Machines that exist, as their drivers show them: for `makeGpuTree`.
import type { FakeCard } from "./gpu-tree.ts";

const HIVE = "2095653680343411291";

/** Eight MI300X, whole, all linked, four at each CPU. Undivided cards keep their parts' render minors free. */
export const EIGHT_MI300X: readonly FakeCard[] = ["05", "26", "46", "65", "85", "a6", "c6", "e5"].map((bus, index) => {
  const render = `renderD${128 + 8 * index}`;
  return {
    card: `card${1 + 8 * index}`,
    pciAddress: `0000:${bus}:00.0`,
    render,
    files: {
      numa_node: index < 4 ? "0" : "1",
      current_compute_partition: "SPX",
      current_memory_partition: "NPS1",
    },
    kfd: [{ node: 2 + index, render, properties: { hive_id: HIVE }, used: "297140224" }],
  };
});

/** Two MI300X in eight parts each; the first part has its card's render node, the others got theirs when the cards were divided. */
export const TWO_MI300X_DIVIDED: readonly FakeCard[] = [
  { bus: "05", first: 128, others: 136 },
  { bus: "26", first: 143, others: 129 },
].map(({ bus, first, others }, card) => ({
  card: `card${card + 1}`,
  pciAddress: `0000:${bus}:00.0`,
  render: `renderD${first}`,
  files: { numa_node: String(card), current_compute_partition: "CPX", current_memory_partition: "NPS4" },
  kfd: [first, ...Array.from({ length: 7 }, (_, part) => others + part)].map((minor, part) => ({
    node: 2 + 8 * card + part,
    render: `renderD${minor}`,
    properties: { simd_count: "152", hive_id: HIVE },
    memory: "25769803776",
    used: "363483136",
  })),
}));

/** One MI250X: two devices, each with its own memory. */
export const ONE_MI250X: readonly FakeCard[] = ["29", "2c"].map((bus, index) => ({
  card: `card${index}`,
  pciAddress: `0000:${bus}:00.0`,
  render: `renderD${128 + index}`,
  files: {
    device: "0x7408",
    class: "0x038000",
    numa_node: "3",
    mem_info_vram_total: "68702699520",
    mem_info_vram_used: "11079680",
  },
  kfd: [
    {
      node: 4 + index,
      render: `renderD${128 + index}`,
      properties: { gfx_target_version: "90010", device_id: "29704", hive_id: "12609507387757274807" },
      memory: "68702699520",
    },
  ],
}));

/** Five MI210, which the driver did not find in the order of their addresses. */
export const FIVE_MI210: readonly FakeCard[] = ["63", "43", "03", "26", "e3"].map((bus, index) => ({
  card: `card${index}`,
  pciAddress: `0000:${bus}:00.0`,
  render: `renderD${128 + index}`,
  files: {
    device: "0x740f",
    class: "0x038000",
    mem_info_vram_total: "68702699520",
    mem_info_vram_used: "11079680",
    product_name: "AMD INSTINCT MI210",
  },
  kfd: [
    {
      node: 2 + index,
      render: `renderD${128 + index}`,
      properties: { gfx_target_version: "90010", device_id: "29711" },
      memory: "68702699520",
    },
  ],
}));
