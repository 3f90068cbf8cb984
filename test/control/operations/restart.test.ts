// A replica that is started again is what its launch asked for, also when another gateway started it.
import { describe, expect, it } from "vitest";
import { Rig } from "../../support/make-plane.ts";
import { makeGpus, makeProfile, makeRecipe } from "../../support/make.ts";

const never = new AbortController().signal;
const GPUS = makeGpus(4);
const ids = (from: number, to: number) => GPUS.slice(from, to).map(({ id }) => id);
const recipes = [makeRecipe({ id: "tiny", profiles: [makeProfile(1, { isDefault: false }), makeProfile(2)] })];

async function launched(): Promise<Rig> {
  const rig = new Rig({ recipes, gpus: GPUS });
  await rig.clock.advance(100);
  const launch = rig.plane.operator.launch(
    { model: "tiny", on: ids(2, 4), name: "mine", flags: ["--seed", "1"] },
    never,
  );
  await rig.clock.advance(5_000);
  await launch;
  return rig;
}

function shape(rig: Rig): readonly unknown[] {
  return rig.plane.fleet.replicas
    .all()
    .map(({ name, state, identity }) => [name, state, identity.gpus, identity.flags]);
}

describe("a restart", () => {
  it.each(["the same gateway", "a gateway that took it over"])("keeps name, GPUs and flags: %s", async (which) => {
    const rig = await launched();
    const before = [["mine", "ready", ids(2, 4), ["--seed", "1"]]];
    expect(shape(rig)).toEqual(before);
    if (which !== "the same gateway") rig.boot();
    await rig.clock.advance(5_000);
    const restarted = rig.plane.operator.restart("mine", { force: false }, never);
    await rig.clock.advance(5_000);
    await restarted;
    expect(shape(rig)).toEqual(before);
    expect(rig.world.starts).toEqual(["mine", "mine"]);
  });

  it.each([
    ["sleeps", 20_000],
    ["is just falling asleep", 11_300],
  ])("starts it again beside another one of its model that %s, and leaves that alone", async (_, afterMs) => {
    const sleep = { afterMs: 10_000, level: 1 } as const;
    const rig = new Rig({ recipes: [makeRecipe({ id: "tiny", gpus: 1, sleep, keepAliveMs: Infinity })], gpus: GPUS });
    await rig.clock.advance(100);
    void rig.plane.operator.launch({ model: "tiny", replicas: 2 }, never);
    await rig.clock.advance(afterMs);
    void rig.plane.operator.restart("tiny-1", { force: false }, never);
    await rig.clock.advance(3_000);
    expect(rig.states().toSorted()).toEqual(["tiny-1 ready", "tiny-2 sleeping"]);
    expect(rig.world.starts).toEqual(["tiny-1", "tiny-2", "tiny-1"]);
  });

  it("takes any GPUs, and the next free name, where the launch chose none", async () => {
    const rig = new Rig({ recipes, gpus: GPUS });
    await rig.clock.advance(100);
    void rig.plane.operator.launch({ model: "tiny" }, never);
    await rig.clock.advance(5_000);
    const [replica] = rig.plane.fleet.replicas.all();
    expect(replica?.identity.chosen).toBeUndefined();
  });
});

describe("a launch that has others stopped", () => {
  it("says whom, and why", async () => {
    const others = [makeRecipe({ id: "large", gpus: 4 }), makeRecipe({ id: "small", gpus: 1 })];
    const rig = new Rig({ recipes: others, gpus: GPUS });
    await rig.clock.advance(100);
    rig.request("small");
    await rig.clock.advance(5_000);
    const launch = rig.plane.operator.launch({ model: "large" }, never);
    await rig.clock.advance(5_000);
    expect((await launch).reasons[0]).toMatch(/^small-1 is stopped: idle for .*; its GPUs are needed for large$/);
  });
});
