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
    await rig.clock.advance(60_000);
    expect([...rig.world.containers.keys()]).toEqual(["b-1"]);
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
