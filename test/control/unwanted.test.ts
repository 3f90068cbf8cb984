import { describe, expect, it } from "vitest";
import { Rig } from "../support/make-plane.ts";
import { makeGpus, makeRecipe } from "../support/make.ts";

describe("a load whose clients have left", () => {
  function begin() {
    const rig = new Rig({ recipes: ["a", "b"].map((id) => makeRecipe({ id, gpus: 4 })), gpus: makeGpus(4) });
    rig.world.pace.loadMs = 120_000;
    return rig;
  }

  it("goes on when nobody else needs its GPUs", async () => {
    const rig = begin();
    const leaving = new AbortController();
    rig.request("a", { signal: leaving.signal });
    await rig.clock.advance(10_000);
    leaving.abort(new Error("gone"));
    await rig.clock.advance(60_000);
    expect(rig.states()).toEqual(["a-1 loading"]);
    await rig.plane.stop();
  });

  it("is given up for another model, once they have not come back for a while", async () => {
    const rig = begin();
    const leaving = new AbortController();
    rig.request("a", { signal: leaving.signal });
    await rig.clock.advance(60_000);
    leaving.abort(new Error("gone"));
    const other = rig.request("b");
    await rig.clock.advance(14_000);
    expect(rig.states()).toEqual(["a-1 loading"]);
    await rig.clock.advance(5_000);
    expect(rig.states()).toEqual(["b-1 loading"]);
    await rig.clock.advance(125_000);
    expect(other.outcome).toBe("served");
    await rig.plane.stop();
  });

  it("is not given up when they do", async () => {
    const rig = begin();
    const leaving = new AbortController();
    rig.request("a", { signal: leaving.signal });
    await rig.clock.advance(60_000);
    leaving.abort(new Error("gone"));
    rig.request("b");
    await rig.clock.advance(10_000);
    const again = rig.request("a");
    await rig.clock.advance(60_000);
    expect(again.outcome).toBe("served");
    await rig.plane.stop();
  });
});
