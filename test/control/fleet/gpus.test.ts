import { describe, expect, it } from "vitest";
import { GpuBook, heldShare, type GpuChange } from "../../../src/control/fleet/gpus.ts";
import type { Replica } from "../../../src/control/replica.ts";
import type { Gpu } from "../../../src/runtime/driver.ts";
import { makeReplica } from "../../support/make-replica.ts";

const GIB = 2 ** 30;
const ID = "0000:c1:00.0";

function gpu(usedGib: number | undefined, more: Partial<Gpu> = {}): Gpu {
  const used = usedGib === undefined ? {} : { usedBytes: usedGib * GIB };
  return { id: ID, vendor: "amd", product: "MI300X", memoryBytes: 192 * GIB, ...used, ...more };
}

function leaver(options: { readonly isTaken?: boolean } = {}): Replica {
  const replica = makeReplica("pending", { name: "qwen-1", gpus: [ID] });
  if (options.isTaken) replica.failureCause = "gpu_taken";
  return replica;
}

class Scene {
  readonly book = new GpuBook({ recoveryMs: 60_000 });
  heldShare = 0;

  read(reading: Gpu, askedAt: number): readonly GpuChange[] {
    return this.book.observe("docker", [reading], { askedAt, heldShare: () => this.heldShare });
  }

  status(reading: Gpu): string {
    return this.book.block("docker", reading, this.heldShare)?.status ?? "free";
  }

  giveBack(reading: Gpu, now: number, replica = leaver()): boolean {
    return this.book.giveBack(replica, new Map([["docker", { gpus: [reading] }]]), now);
  }
}

describe("a GPU that nobody used", () => {
  it("is free with what its driver keeps, and remembers the least of it", () => {
    const scene = new Scene();
    scene.read(gpu(2.9), 0);
    scene.read(gpu(0.3), 1);
    scene.read(gpu(1.2), 2);
    expect(scene.status(gpu(1.2))).toBe("free");
    expect(scene.book.baselineBytes("docker", ID)).toBe(0.3 * GIB);
  });

  it.each([
    ["much of its memory is in use when it is first seen", gpu(50)],
    ["its runtime knows somebody", gpu(0.3, { foreign: "container other-1 of installation other" })],
  ])("is somebody else's when %s", (_, reading) => {
    const scene = new Scene();
    scene.read(reading, 0);
    expect(scene.book.block("docker", reading, 0)).toMatchObject({
      status: "foreign",
      reason: expect.stringContaining("in use"),
    });
  });

  it("is as it was last seen while its memory cannot be read", () => {
    const scene = new Scene();
    scene.read(gpu(50), 0);
    scene.read(gpu(undefined), 1);
    expect(scene.status(gpu(undefined))).toBe("foreign");
    scene.read(gpu(0.3), 2);
    scene.read(gpu(undefined), 3);
    expect(scene.status(gpu(undefined))).toBe("free");
  });

  it("becomes somebody else's, and free again, with what is in use", () => {
    const scene = new Scene();
    scene.read(gpu(0.3), 0);
    scene.read(gpu(12), 1);
    expect(scene.book.block("docker", gpu(12), 0)?.reason).toContain("12 GiB");
    scene.read(gpu(0.4), 2);
    expect(scene.status(gpu(0.4))).toBe("free");
  });

  it("is believed free where its memory cannot be read", () => {
    const scene = new Scene();
    scene.read(gpu(undefined), 0);
    expect(scene.status(gpu(undefined))).toBe("free");
  });

  it("that cannot be opened is unusable, whatever its memory says", () => {
    expect(new Scene().status(gpu(0, { unusable: "its render node is missing" }))).toBe("unusable");
  });
});

describe("a GPU that was given back", () => {
  it("is not free by a reading of the very moment in which it was given back", () => {
    const scene = new Scene();
    scene.read(gpu(0.3), 0);
    scene.giveBack(gpu(0.3), 100);
    scene.read(gpu(0.3), 100);
    expect(scene.status(gpu(0.3))).toBe("recovering");
  });

  it("is free only with a reading that was asked for afterwards", () => {
    const scene = new Scene();
    scene.read(gpu(0.3), 0);
    expect(scene.giveBack(gpu(0.3), 100)).toBe(true);
    expect(scene.status(gpu(0.3))).toBe("recovering");
    expect(scene.read(gpu(0.3), 99)).toEqual([]);
    expect(scene.status(gpu(0.3))).toBe("recovering");
    expect(scene.read(gpu(0.5), 101)).toMatchObject([{ kind: "recovered" }]);
    expect(scene.status(gpu(0.5))).toBe("free");
    expect(scene.book.isRecovering("docker")).toBe(false);
  });

  it("is quarantined when its memory does not come back in time, and returns when it does", () => {
    const scene = new Scene();
    scene.read(gpu(0.3), 0);
    scene.giveBack(gpu(150), 100);
    expect(scene.read(gpu(150), 50_000)).toEqual([]);
    expect(scene.book.isRecovering("docker")).toBe(true);
    expect(scene.read(gpu(63), 60_100)).toMatchObject([
      { kind: "quarantined", reason: "63 GiB of its memory are still in use 1m after qwen-1 was stopped" },
    ]);
    expect(scene.status(gpu(63))).toBe("quarantined");
    expect(scene.book.isRecovering("docker")).toBe(false);
    expect(scene.read(gpu(63), 70_000)).toEqual([]);
    expect(scene.read(gpu(0.4), 80_000)).toMatchObject([{ kind: "returned" }]);
    expect(scene.status(gpu(0.4))).toBe("free");
  });

  it("is free at once on an operator's word, and what is in use then is its usual amount", () => {
    const scene = new Scene();
    scene.giveBack(gpu(63), 0);
    scene.read(gpu(63), 60_000);
    scene.book.forgive("docker", gpu(63), 0);
    expect(scene.status(gpu(63))).toBe("free");
    scene.read(gpu(80), 61_000);
    expect(scene.status(gpu(80))).toBe("foreign");
  });

  it("is free at once where its memory cannot be read", () => {
    expect(new Scene().giveBack(gpu(undefined), 0)).toBe(false);
  });

  it("stays in doubt while its memory, which could be read before, cannot be read", () => {
    const scene = new Scene();
    scene.heldShare = 1;
    scene.read(gpu(150), 0);
    scene.heldShare = 0;
    scene.giveBack(gpu(150), 1);
    expect(scene.read(gpu(undefined), 2)).toEqual([]);
    expect(scene.status(gpu(undefined))).toBe("recovering");
    expect(scene.read(gpu(undefined), 60_001)).toMatchObject([
      { kind: "quarantined", reason: expect.stringContaining("cannot be read 1m after qwen-1 was stopped") },
    ]);
    expect(scene.read(gpu(undefined), 60_002)).toEqual([]);
    expect(scene.read(gpu(0.3), 60_003)).toMatchObject([{ kind: "returned" }]);
  });

  it("is doubted although its memory could not be read when it was given back, if it could before", () => {
    const scene = new Scene();
    scene.read(gpu(0.3), 0);
    expect(scene.giveBack(gpu(undefined), 1)).toBe(true);
  });

  it("is not waited for once it has been away for longer than its memory may take", () => {
    const scene = new Scene();
    scene.giveBack(gpu(150), 0);
    const readNothing = (askedAt: number) => scene.book.observe("docker", [], { askedAt, heldShare: () => 0 });
    readNothing(59_999);
    expect(scene.book.isRecovering("docker")).toBe(true);
    expect(readNothing(60_000)).toMatchObject([{ kind: "quarantined", reason: expect.stringContaining("vanished") }]);
    expect(scene.book.isRecovering("docker")).toBe(false);
    expect(scene.status(gpu(150))).toBe("quarantined");
    expect(scene.read(gpu(0.3), 60_001)).toMatchObject([{ kind: "returned" }]);
  });

  it("because somebody else had taken it is theirs as soon as that is seen", () => {
    const scene = new Scene();
    expect(scene.giveBack(gpu(undefined), 0, leaver({ isTaken: true }))).toBe(true);
    expect(scene.status(gpu(undefined))).toBe("recovering");
    const theirs = gpu(undefined, { foreign: "container other-1" });
    scene.read(theirs, 1);
    expect(scene.status(theirs)).toBe("foreign");
  });

  it("is held by the next replica, and its readings say nothing then", () => {
    const scene = new Scene();
    scene.read(gpu(0.3), 0);
    scene.heldShare = 1;
    expect(scene.read(gpu(150), 1)).toEqual([]);
    expect(scene.book.baselineBytes("docker", ID)).toBe(0.3 * GIB);
  });
});

describe("a GPU that a sleeper keeps", () => {
  it("is free for others with what the sleeper keeps, and no more", () => {
    const scene = new Scene();
    scene.read(gpu(0.3), 0);
    scene.heldShare = 0.05;
    expect(scene.read(gpu(9), 1)).toEqual([]);
    expect(scene.status(gpu(9))).toBe("free");
    expect(scene.status(gpu(20))).toBe("foreign");
  });

  it("has not come back before all is back but what the sleeper keeps", () => {
    const scene = new Scene();
    scene.read(gpu(0.3), 0);
    scene.heldShare = 0.05;
    scene.giveBack(gpu(170), 1);
    expect(scene.read(gpu(20), 2)).toEqual([]);
    expect(scene.status(gpu(20))).toBe("recovering");
    expect(scene.read(gpu(9), 3)).toMatchObject([{ kind: "recovered" }]);
    expect(scene.status(gpu(9))).toBe("free");
  });

  it("is quarantined with what somebody else left, not with what the sleeper keeps", () => {
    const scene = new Scene();
    scene.read(gpu(0.3), 0);
    scene.heldShare = 0.05;
    scene.giveBack(gpu(170), 0);
    expect(scene.read(gpu(60), 60_000)).toMatchObject([{ kind: "quarantined" }]);
    expect(scene.read(gpu(9), 61_000)).toMatchObject([{ kind: "returned" }]);
  });

  it("says nothing of what it usually has in use", () => {
    const scene = new Scene();
    scene.heldShare = 0.05;
    scene.read(gpu(9), 0);
    expect(scene.book.baselineBytes("docker", ID)).toBeUndefined();
  });

  it("is not waited for while somebody awake has it, nor is that somebody's memory an operator's usual amount", () => {
    const scene = new Scene();
    scene.giveBack(gpu(150), 0);
    scene.heldShare = 1.05;
    expect(scene.read(gpu(150), 1)).toEqual([]);
    expect(scene.book.isRecovering("docker")).toBe(false);
    scene.book.forgive("docker", gpu(150), 1.05);
    expect(scene.book.baselineBytes("docker", ID)).toBe(0);
  });

  it("is expected to have in use what those who hold it may use", () => {
    const identity = (gpuFraction?: number) => ({ ...leaver().identity, ...(gpuFraction && { gpuFraction }) });
    const asleep = { state: "sleeping", residualShare: 0.05, identity: identity() } as const;
    expect(heldShare([])).toBe(0);
    expect(heldShare([asleep])).toBe(0.05);
    expect(heldShare([{ ...asleep, state: "ready" }])).toBe(1);
    expect(heldShare([asleep, { ...asleep, state: "stopping", identity: identity(0.5) }])).toBeCloseTo(0.58);
    expect(heldShare([{ ...asleep, residualShare: undefined }])).toBeGreaterThan(0);
  });
});
