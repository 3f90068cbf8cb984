// Ending the gateway while something is going on.
import { describe, expect, it } from "vitest";
import { Rig } from "../support/make-plane.ts";
import { makeRecipe } from "../support/make.ts";

describe("a gateway that shuts down", () => {
  it("starts nothing any more, not even to keep a minimum", async () => {
    const recipes = [makeRecipe({ replicas: { min: 1, max: 1 } })];
    const rig = new Rig({ recipes, settings: { keepOnExit: new Set() } });
    await rig.clock.advance(5_000);
    await Promise.all([rig.plane.stop(), rig.clock.advance(40_000)]);
    expect(rig.world.starts).toHaveLength(1);
    expect(rig.world.containers.size).toBe(0);
    expect(rig.clock.pending).toBe(0);
  });

  it("sees a replica through that uses up its grace and has to be killed", async () => {
    const rig = new Rig({ recipes: [makeRecipe()], settings: { keepOnExit: new Set() } });
    rig.request("tiny");
    await rig.clock.advance(5_000);
    rig.world.pace.stopMs = 30_500;
    await Promise.all([rig.plane.stop(), rig.clock.advance(60_000)]);
    expect(rig.world.containers.size).toBe(0);
  });

  it("leaves a runtime that hangs after the grace and a little more", async () => {
    const rig = new Rig({ recipes: [makeRecipe()], settings: { keepOnExit: new Set() } });
    rig.request("tiny");
    await rig.clock.advance(5_000);
    rig.world.pace.stopMs = Infinity;
    let isStopped = false;
    void rig.plane.stop().then(() => (isStopped = true));
    await rig.clock.advance(40_000);
    expect(isStopped).toBe(true);
    expect(rig.clock.pending).toBe(0);
  });
});
