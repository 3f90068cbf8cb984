// What a gateway finds when it starts: replicas in every condition, left by the one before.
import { describe, expect, it } from "vitest";
import { Rig } from "../support/make-plane.ts";
import { makeGpus, makeProfile, makeRecipe } from "../support/make.ts";

describe("a replica found by a new gateway", () => {
  it("that is paused is taken down before its GPU goes to another", async () => {
    const recipes = [makeRecipe({ id: "a", gpus: 1 }), makeRecipe({ id: "b", gpus: 1 })];
    const rig = new Rig({ recipes, gpus: makeGpus(1) });
    rig.request("a");
    await rig.clock.advance(5_000);
    rig.world.set("a-1", "unresponsive");
    rig.boot();
    const request = rig.request("b");
    await rig.clock.advance(10_000);
    expect(rig.world.violations).toEqual([]);
    expect(request.outcome).toBe("served");
  });

  it("whose recipe has since become one that would not start with its flags goes on serving", async () => {
    const before = makeRecipe({ engine: "vllm", gpus: 1 });
    const rig = new Rig({ recipes: [before], gpus: makeGpus(1) });
    const flags = ["--gpu-memory-utilization", "0.9"];
    const launched = rig.plane.operator.launch({ model: "tiny", flags }, new AbortController().signal);
    await rig.clock.advance(5_000);
    await launched;
    const shared = makeRecipe({ engine: "vllm", hash: "another", profiles: [makeProfile(1, { gpuFraction: 0.4 })] });
    rig.boot([shared]);
    const request = rig.request("tiny");
    await rig.clock.advance(5_000);
    expect(request.outcome).toBe("served");
    expect(rig.world.starts).toEqual(["tiny-1"]);
  });

  it("whose recipe has changed goes as soon as it is idle, however long it would be kept otherwise", async () => {
    const recipe = makeRecipe({ gpus: 1, keepAliveMs: Infinity });
    const rig = new Rig({ recipes: [recipe], gpus: makeGpus(1), settings: { reconcileEveryMs: 3_600_000 } });
    rig.request("tiny");
    await rig.clock.advance(5_000);
    rig.boot([{ ...recipe, hash: "another" }]);
    const request = rig.request("tiny", { serveMs: 20_000 });
    await rig.clock.advance(10_000);
    expect(request.outcome).toBe("serving");
    await rig.clock.advance(11_000);
    expect(request.outcome).toBe("served");
    expect(rig.states()).toEqual([]);
  });

  it("whose recipe has changed hands its clients over to fresh ones, and goes", async () => {
    const recipe = { ...makeRecipe({ gpus: 1 }), replicas: { min: 0, max: 2, target: 2 } };
    const rig = new Rig({ recipes: [recipe], gpus: makeGpus(2) });
    rig.request("tiny");
    await rig.clock.advance(5_000);
    rig.boot([{ ...recipe, hash: "another" }]);
    const outcomes = new Set<string>();
    const send = () =>
      void rig.request("tiny", {
        serveMs: 2_000,
        onEnd: ({ outcome }) => {
          outcomes.add(outcome);
          queueMicrotask(send);
        },
      });
    for (let client = 0; client < 5; client++) {
      send();
      await rig.clock.advance(300);
    }
    await rig.clock.advance(60_000);
    expect(rig.plane.fleet.replicas.all().map(({ state, isStale }) => [state, isStale])).toEqual([
      ["ready", false],
      ["ready", false],
    ]);
    expect(outcomes).toEqual(new Set(["served"]));
    expect(rig.world.violations).toEqual([]);
  });

  it("that was just being stopped is no failed start: a fresh one serves whoever asks meanwhile", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ keepAliveMs: 1_000 })] });
    rig.world.pace.stopMs = 5_000;
    rig.request("tiny");
    await rig.clock.advance(4_000);
    expect(rig.states()).toEqual(["tiny-1 stopping"]);
    rig.world.pace.loadMs = 10_000;
    const container = rig.world.containers.get("tiny-1");
    if (container !== undefined) Object.assign(container, { loadedAt: Infinity });
    rig.boot();
    const request = rig.request("tiny");
    await rig.clock.advance(30_000);
    expect(request).toMatchObject({ outcome: "served" });
    expect(rig.world.starts).toHaveLength(2);
  });
});
