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
});
