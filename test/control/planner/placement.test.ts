import { describe, expect, it } from "vitest";
import { place } from "../../../src/control/planner/placement.ts";
import { kindsOf } from "../../../src/control/planner/supply.ts";
import type { Gpu } from "../../../src/runtime/driver.ts";

/** Eight linked cards on two NUMA nodes, as in an MI300X host. */
const HOST = Array.from({ length: 8 }, (_, index) => gpu(`0000:0${index + 1}:00.0`, index < 4 ? 0 : 1, "17"));

function gpu(id: string, numaNode?: number, hive?: string, partition?: string): Gpu {
  return {
    id,
    vendor: "amd",
    product: "MI300X",
    memoryBytes: 192 * 2 ** 30,
    ...(numaNode === undefined ? {} : { numaNode }),
    ...(hive === undefined ? {} : { hive }),
    ...(partition === undefined ? {} : { partition }),
  };
}

/** As an inventory is sorted for plans. */
function sorted(gpus: readonly Gpu[]): readonly Gpu[] {
  return kindsOf(gpus).flatMap((kind) => kind.gpus);
}

/** Numbers of the cards taken, from 1. */
function taken(free: readonly Gpu[], needed: number): string | undefined {
  return place(free, needed)
    ?.gpus.map((id) => id.slice(6, 7))
    .join("");
}

describe("a place", () => {
  it("is on one NUMA node where one has enough, the one that is left with least", () => {
    expect(taken(HOST, 4)).toBe("1234");
    expect(taken(HOST.slice(1), 4)).toBe("5678");
    expect(taken(HOST.slice(2), 1)).toBe("3");
    expect(taken(HOST.slice(0, 7), 3)).toBe("567");
  });

  it("spans nodes that are linked when no node has enough", () => {
    expect(taken(HOST, 8)).toBe("12345678");
    expect(taken([...HOST.slice(1, 4), ...HOST.slice(6)], 4)).toBe("2347");
    const [one, other] = [gpu("0000:01:00.0", 0, "1"), gpu("0000:02:00.0", 1, "2")];
    expect(taken([one, other, gpu("0000:03:00.0", 1, "1")], 2)).toBe("13");
  });

  it("takes any where nothing is known about where they are", () => {
    expect(taken(sorted([gpu("0000:02:00.0"), gpu("0000:01:00.0")]), 2)).toBe("12");
  });

  it("keeps to one card where cards are partitioned, and counts partitions as numbers", () => {
    const parts = ["a/renderD128", "a/renderD129", "b/renderD136", "b/renderD9", "b/renderD10"];
    const free = sorted(parts.map((id) => gpu(id, 0, "1", "CPX/NPS4")));
    expect(place(free, 2)?.gpus).toEqual(["a/renderD128", "a/renderD129"]);
    expect(place(free, 3)?.gpus).toEqual(["b/renderD9", "b/renderD10", "b/renderD136"]);
  });

  it("is none when too few are free, and empty for engines that need none", () => {
    expect(place(HOST.slice(0, 3), 4)).toBeUndefined();
    expect(place([], 0)).toEqual({ gpus: [], why: "" });
  });

  it("says why", () => {
    expect(place(HOST.slice(4), 2)?.why).toBe("GPUs 0000:05:00.0, 0000:06:00.0: on NUMA node 1, where 4 are free");
    expect(place(HOST, 8)?.why).toMatch(/linked by XGMI/);
  });
});
