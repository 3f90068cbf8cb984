// The fleet against what runs: what cannot be removed, reached or asked.
import { describe, expect, it } from "vitest";
import { AimError } from "../../src/errors.ts";
import { Rig } from "../support/make-plane.ts";
import { makeGpus, makeRecipe } from "../support/make.ts";

describe("a leftover that cannot be removed", () => {
  it("is tried again, and keeps nobody from being served", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ id: "a" }), makeRecipe({ id: "b", keepAliveMs: Infinity })] });
    rig.request("a");
    await rig.clock.advance(5_000);
    rig.world.exit("a-1", { code: 1, outOfMemory: false });
    rig.world.stopFaults.push(...Array.from({ length: 5 }, () => new Error("device busy")));
    rig.boot();
    await rig.clock.advance(1_000);
    const request = rig.request("b");
    await rig.clock.advance(5_000);
    expect(request.outcome).toBe("served");
    await rig.clock.advance(120_000);
    expect([...rig.world.containers.keys()]).toEqual(["b-1"]);
  });
});

describe("a replica that cannot be taken down", () => {
  it("keeps its GPUs, and others give way where it was to give way", async () => {
    const recipes = ["a", "b", "c"].map((id) => makeRecipe({ id, gpus: 4, keepAliveMs: Infinity }));
    const rig = new Rig({ recipes, gpus: makeGpus(8) });
    for (const model of ["a", "b"]) {
      rig.request(model);
      await rig.clock.advance(5_000);
    }
    rig.world.unkillable.add("a-1");
    const request = rig.request("c");
    await rig.clock.advance(5_000);
    expect(rig.states()).toEqual(["a-1 stopping", "b-1 ready"]);
    await rig.clock.advance(30_000);
    expect(rig.states()).toEqual(["a-1 stopping", "c-1 ready"]);
    expect(request.outcome).toBe("served");
    rig.world.unkillable.clear();
    await rig.clock.advance(30_000);
    expect(rig.states()).toEqual(["c-1 ready"]);
  });

  it("is waited for while its runtime is away", async () => {
    const recipes = ["a", "b", "c"].map((id) => makeRecipe({ id, gpus: 4, keepAliveMs: Infinity }));
    const rig = new Rig({ recipes, gpus: makeGpus(8) });
    for (const model of ["a", "b"]) {
      rig.request(model);
      await rig.clock.advance(5_000);
    }
    const away = new AimError("runtime_unavailable", "cannot reach Docker");
    rig.world.stopFaults.push(...Array.from({ length: 5 }, () => away));
    rig.request("c");
    await rig.clock.advance(100_000);
    expect(rig.states()).toEqual(["b-1 ready", "c-1 ready"]);
  });
});

describe("a replica that does not answer", () => {
  it("gets requests again when it answers again, though its runtime cannot be asked", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    const first = rig.request("tiny");
    await rig.clock.advance(5_000);
    rig.world.outage = new AimError("runtime_unavailable", "cannot reach Docker");
    first.lease?.report({ kind: "unreachable", error: new Error("ECONNREFUSED") });
    await rig.clock.advance(15_000);
    const second = rig.request("tiny");
    await rig.clock.advance(2_000);
    expect(second).toMatchObject({ outcome: "served", replica: "tiny-1" });
  });

  it("is never given up on the word of a runtime that cannot be asked", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ keepAliveMs: Infinity })] });
    const first = rig.request("tiny");
    await rig.clock.advance(5_000);
    rig.world.outage = new AimError("runtime_unavailable", "cannot reach Docker");
    rig.world.set("tiny-1", "unresponsive");
    first.lease?.report({ kind: "unreachable", error: new Error("ECONNREFUSED") });
    await rig.clock.advance(300_000);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
  });

  it("because it is paused is given up after a while, so that those who wait get another", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ gpus: 1 })], gpus: makeGpus(1) });
    rig.request("tiny");
    await rig.clock.advance(5_000);
    rig.world.set("tiny-1", "unresponsive");
    await rig.clock.advance(1_000);
    const request = rig.request("tiny");
    await rig.clock.advance(90_000);
    expect(request.outcome).toBe("served");
    expect(rig.world.violations).toEqual([]);
  });

  it("is not stopped while it serves what it has", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    const long = rig.request("tiny", { serveMs: 300_000 });
    await rig.clock.advance(5_000);
    const container = rig.world.containers.get("tiny-1");
    if (container !== undefined) Object.assign(container, { loadedAt: Infinity });
    long.lease?.report({ kind: "unreachable", error: new Error("ETIMEDOUT") });
    await rig.clock.advance(200_000);
    expect(rig.world.violations).toEqual([]);
    expect(long.outcome).toBe("serving");
    await rig.clock.advance(120_000);
    expect(long.outcome).toBe("served");
    expect(rig.states()).toEqual([]);
  });
});

describe("a leftover", () => {
  it("that is young may be in somebody's hands, and is removed when it has aged", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ id: "a" })] });
    rig.request("a");
    await rig.clock.advance(5_000);
    rig.boot();
    rig.world.exit("a-1", { code: 1, outOfMemory: false });
    rig.boot();
    await rig.clock.advance(40_000);
    expect([...rig.world.containers.keys()]).toEqual(["a-1"]);
    await rig.clock.advance(30_000);
    expect([...rig.world.containers.keys()]).toEqual([]);
  });
});

describe("GPU memory", () => {
  const GIB = 2 ** 30;
  const [gpu] = makeGpus(1);
  const idle = { ...(gpu ?? { id: "", vendor: "none", product: "", memoryBytes: 0 }), usedBytes: GIB / 4 };
  const recipes = ["a", "b"].map((id) => makeRecipe({ id, gpus: 1 }));

  /** `a` has run on the only GPU, uses it, and is idle. */
  async function served(): Promise<Rig> {
    const rig = new Rig({ recipes, gpus: [idle] });
    await rig.clock.advance(100);
    rig.request("a");
    await rig.clock.advance(5_000);
    rig.world.use(idle.id, 150 * GIB);
    return rig;
  }

  it("is waited for before the GPU is given to the next", async () => {
    const rig = await served();
    const next = rig.request("b");
    await rig.clock.advance(20_000);
    expect(rig.states()).toEqual([]);
    expect(rig.plane.pool.describeWait("b")).toContain(`the memory of GPU ${idle.id}`);
    rig.world.use(idle.id, GIB / 2);
    await rig.clock.advance(5_000);
    expect(next.outcome).toBe("served");
  });

  it("that does not come back puts the GPU into quarantine; who waits is told which and why, and it returns by itself", async () => {
    const rig = await served();
    const waiting = rig.request("b");
    await rig.clock.advance(70_000);
    expect(waiting.error).toMatchObject({
      code: "no_capacity",
      message: expect.stringMatching(/0000:01:00.0 is quarantined: 150 GiB/),
    });
    expect(rig.events.since(0).map(({ type }) => type)).toContain("gpu:quarantined");
    expect(rig.plane.fleet.machines.gpus()).toMatchObject([{ status: "quarantined" }]);
    rig.world.use(idle.id, GIB / 2);
    await rig.clock.advance(11_000);
    const next = rig.request("b");
    await rig.clock.advance(5_000);
    expect(next.outcome).toBe("served");
  });

  it("is taken at an operator's word", async () => {
    const rig = await served();
    rig.request("b");
    await rig.clock.advance(70_000);
    const [status] = rig.plane.fleet.machines.gpus();
    if (status !== undefined) rig.plane.fleet.machines.release(status);
    const next = rig.request("b");
    await rig.clock.advance(5_000);
    expect(next.outcome).toBe("served");
  });

  it("in use by somebody else keeps the GPU out of use until they leave", async () => {
    const rig = new Rig({ recipes, gpus: [{ ...idle, usedBytes: 40 * GIB }] });
    await rig.clock.advance(100);
    const refused = rig.request("a");
    await rig.clock.advance(100);
    expect(refused.error).toMatchObject({
      code: "no_capacity",
      message: expect.stringContaining("40 GiB of its memory are in use"),
    });
    rig.world.use(idle.id, GIB / 4);
    await rig.clock.advance(11_000);
    const next = rig.request("a");
    await rig.clock.advance(5_000);
    expect(next.outcome).toBe("served");
  });
});

describe("a replica of another version", () => {
  it("keeps its GPUs, though it cannot be taken over", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ gpus: 1 })], gpus: makeGpus(1) });
    rig.request("tiny");
    await rig.clock.advance(5_000);
    const container = rig.world.containers.get("tiny-1");
    if (container !== undefined) Object.assign(container.spec.labels, { "aim-engine.schema": "0" });
    rig.boot();
    await rig.clock.advance(1_000);
    const request = rig.request("tiny");
    await rig.clock.advance(1_000);
    expect(request.error).toMatchObject({
      code: "no_capacity",
      message: expect.stringMatching(/in use by tiny-1, .* label schema is 0/),
    });
    expect(rig.world.violations).toEqual([]);
  });
});
