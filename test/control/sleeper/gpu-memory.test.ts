import { describe, expect, it } from "vitest";
import type { Replica } from "../../../src/control/replica.ts";
import { MemoryDrop, residualOf, type Sight } from "../../../src/control/sleeper/gpu-memory.ts";
import type { Gpu } from "../../../src/runtime/driver.ts";
import { makeReplica } from "../../support/make-replica.ts";

const GIB = 2 ** 30;

function gpu(usedGib: number | undefined, id = "a"): Gpu {
  const used = usedGib === undefined ? {} : { usedBytes: usedGib * GIB };
  return { id, vendor: "amd", product: "MI300X", memoryBytes: 200 * GIB, ...used };
}

function sight(usedGib: number | undefined, more: Partial<Sight> & { readonly id?: string } = {}): Sight {
  return { gpu: gpu(usedGib, more.id), baselineBytes: GIB, others: [], ...more };
}

const replica = makeReplica("loading", { name: "a-1", gpus: ["a"] });

function sleeper(residualShare?: number): Replica {
  const other = makeReplica("loading", { name: "b-1", gpus: ["a"] });
  other.sleeps(residualShare === undefined ? {} : { residualShare });
  other.transition("sleeping", "found asleep", 0);
  return other;
}

describe("the memory of a replica that falls asleep", () => {
  it("is still in use until half of it is back, and settled when no more comes", () => {
    const drop = new MemoryDrop(replica, [sight(181)]);
    expect(drop.look([gpu(181)])).toBe("full");
    expect(drop.look([gpu(100)])).toBe("full");
    expect(drop.look([gpu(80)])).toBe("dropping");
    expect(drop.look([gpu(11)])).toBe("dropping");
    expect(drop.look([gpu(11)])).toBe("settled");
    expect(drop.residualShare).toBeCloseTo(0.05);
    expect(drop.freedBytes).toBeCloseTo(170 * GIB);
  });

  it("has to come back on each of its GPUs", () => {
    const drop = new MemoryDrop(replica, [sight(181), sight(181, { id: "b" })]);
    expect(drop.look([gpu(11), gpu(181, "b")])).toBe("full");
    expect(drop.look([gpu(11), gpu(21, "b")])).toBe("dropping");
    expect(drop.look([gpu(11), gpu(21, "b")])).toBe("settled");
    expect(drop.residualShare).toBeCloseTo(0.1);
  });

  it("is believed where it cannot be read, and then nothing is known of it", () => {
    const never = new MemoryDrop(replica, [sight(undefined)]);
    expect(never.look([gpu(undefined)])).toBe("settled");
    expect(never.residualShare).toBeUndefined();
    expect(never.freedBytes).toBeUndefined();
    const noMore = new MemoryDrop(replica, [sight(181)]);
    expect(noMore.look([gpu(undefined)])).toBe("settled");
    expect(noMore.residualShare).toBeUndefined();
  });

  it("is not waited for where hardly any was in use", () => {
    expect(new MemoryDrop(replica, [sight(2)]).look([gpu(2)])).toBe("settled");
    expect(new MemoryDrop(replica, [sight(15, { baselineBytes: undefined })]).look([gpu(15)])).toBe("settled");
  });

  it("is told from that of sharers by their shares, and from what sleepers keep", () => {
    const half = makeReplica("loading", { name: "a-1", gpus: ["a"], gpuFraction: 0.5 });
    const other = makeReplica("loading", { name: "c-1", gpus: ["a"], gpuFraction: 0.25 });
    const drop = new MemoryDrop(half, [sight(161, { others: [other, sleeper(0.05)] })]);
    expect(drop.look([gpu(120)])).toBe("full");
    drop.look([gpu(71)]);
    expect(drop.look([gpu(71)])).toBe("settled");
    expect(drop.residualShare).toBeCloseTo(0.05);
  });
});

describe("what one keeps that is found asleep", () => {
  it.each([
    ["all that is in use where it is alone", sight(11), 0.05],
    ["what other sleepers do not keep", sight(21, { others: [sleeper(0.05)] }), 0.05],
    ["no less than nothing", sight(0.5), 0],
    ["a guess beside somebody awake", sight(190, { others: [makeReplica("loading", { gpus: ["a"] })] }), 0.15],
  ])("is %s", (_, seen, share) => {
    expect(residualOf([seen])).toBeCloseTo(share);
  });

  it("is not known where its GPUs cannot be read", () => {
    expect(residualOf([sight(undefined)])).toBeUndefined();
  });
});
