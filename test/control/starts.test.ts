// Starts that meet something else on their way: a stop, another demand, a runtime that goes away.
import { describe, expect, it } from "vitest";
import { AimError, isAimError } from "../../src/errors.ts";
import { Rig } from "../support/make-plane.ts";
import { makeGpus, makeRecipe } from "../support/make.ts";

const never = new AbortController().signal;

describe("a start", () => {
  it("is one, though a request and two operators ask in the same moment", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    await rig.clock.advance(1_000);
    const request = rig.request("tiny");
    const launches = Promise.all([1, 2].map(() => rig.plane.operator.launch({ model: "tiny" }, never)));
    await rig.clock.advance(5_000);
    expect((await launches).map(({ replica }) => replica.name)).toEqual(["tiny-1", "tiny-1"]);
    expect(request.outcome).toBe("served");
    expect(rig.world.starts).toEqual(["tiny-1"]);
  });

  it("that is stopped in the moment in which its container begins to run leaves no container", async () => {
    const rig = new Rig({ recipes: [makeRecipe()], settings: { reconcileEveryMs: 3_600_000 } });
    rig.world.onRunning = () => {
      const replica = rig.plane.fleet.replicas.find("tiny-1");
      if (replica !== undefined) rig.plane.fleet.stop(replica, "stopped", "an operator stopped it");
    };
    const leaving = new AbortController();
    rig.request("tiny", { signal: leaving.signal });
    await rig.clock.advance(50);
    leaving.abort(new Error("client left"));
    await rig.clock.advance(5_000);
    expect(rig.states()).toEqual([]);
    expect(rig.world.containers.size).toBe(0);
  });

  it("that the runtime cannot take now is not repeated at once, even where a minimum is to be kept", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ replicas: { min: 1, max: 1 } })] });
    let attempts = 0;
    rig.world.onAttempt = () => {
      attempts += 1;
      if (attempts > 50) throw new Error("a storm of starts");
    };
    await rig.clock.advance(50);
    rig.world.outage = new AimError("runtime_unavailable", "cannot reach Docker");
    await rig.clock.advance(5_000);
    expect(attempts).toBe(1);
    rig.world.outage = undefined;
    await rig.clock.advance(30_000);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
  });

  it("whose container takes longer than the whole start may is given up", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ startTimeoutMs: 60_000 })] });
    rig.world.pace.createMs = 3_600_000;
    const request = rig.request("tiny");
    await rig.clock.advance(61_000);
    expect(isAimError(request.error, "model_start_timeout")).toBe(true);
    expect(rig.states()).toEqual([]);
  });
});

describe("a model that is never idle", () => {
  it("gives way to one that waits for its GPUs, and both are served in turns", async () => {
    const recipes = [makeRecipe({ id: "a", gpus: 1 }), makeRecipe({ id: "b", gpus: 1 })];
    const rig = new Rig({ recipes, gpus: makeGpus(1) });
    const waiting = [];
    for (let second = 0; second < 600; second++) {
      rig.request("a", { serveMs: 3_000 });
      waiting.push(rig.request("b", { serveMs: 3_000 }));
      await rig.clock.advance(1_000);
    }
    expect(waiting.slice(0, 300).map(({ outcome }) => outcome)).not.toContain("waiting");
    expect(rig.world.violations).toEqual([]);
    expect(rig.world.starts.length).toBeLessThan(12);
  });
});
