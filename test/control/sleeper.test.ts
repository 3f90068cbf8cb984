import { describe, expect, it } from "vitest";
import type { Recipe } from "../../src/catalog/recipe.ts";
import type { Replica } from "../../src/control/replica.ts";
import { Rig, type RigOptions } from "../support/make-plane.ts";
import { makeGpus, makeRecipe } from "../support/make.ts";

const GIB = 2 ** 30;
const SECOND = 1_000;
const MINUTE = 60 * SECOND;

/** Sleeps after 10 s, is unloaded after 10 min. */
function drowsy(overrides: Partial<Recipe> & { readonly gpus?: number } = {}): Recipe {
  return makeRecipe({
    id: "drowsy",
    gpus: 1,
    keepAliveMs: 10 * MINUTE,
    sleep: { afterMs: 10 * SECOND, level: 1 },
    ...overrides,
  });
}

function makeRig(options: Partial<RigOptions> = {}): Rig {
  return new Rig({ recipes: [drowsy()], gpus: makeGpus(1), memory: true, ...options });
}

function replicaOf(rig: Rig, name = "drowsy-1"): Replica {
  const replica = rig.plane.fleet.replicas.find(name);
  if (replica === undefined) throw new Error(`there is no ${name}, only ${rig.states().join(", ")}`);
  return replica;
}

/** One request, and so long afterwards that its replica sleeps. */
async function asleep(rig: Rig): Promise<void> {
  rig.request("drowsy");
  await rig.clock.advance(20 * SECOND);
  expect(rig.states()).toEqual(["drowsy-1 sleeping"]);
}

describe("an idle replica", () => {
  it("is put to sleep after its time, and gives back the memory of its GPUs but for what it keeps", async () => {
    const rig = makeRig();
    await asleep(rig);
    expect(rig.world.sleep.log).toEqual(["drowsy-1 asleep at level 1"]);
    expect(replicaOf(rig).residualShare).toBeCloseTo(0.05);
    expect(replicaOf(rig).asleepHostBytes).toBeCloseTo(0.85 * 192 * GIB, -6);
    expect([...rig.plane.fleet.snapshot().blocks]).toEqual([]);
  });

  it("takes nothing of the host's memory at level 2, from which it is woken in its order", async () => {
    const rig = makeRig({ recipes: [drowsy({ sleep: { afterMs: 10 * SECOND, level: 2 } })] });
    await asleep(rig);
    expect(replicaOf(rig).asleepHostBytes).toBe(0);
    rig.request("drowsy");
    await rig.clock.advance(SECOND);
    expect(rig.world.sleep.log.at(-1)).toBe("drowsy-1 awake as from level 2");
  });

  it("is unloaded when it has slept for long enough", async () => {
    const rig = makeRig();
    await asleep(rig);
    await rig.clock.advance(11 * MINUTE);
    expect(rig.states()).toEqual([]);
    expect(rig.world.containers.size).toBe(0);
  });

  it("that ends in its sleep is noticed", async () => {
    const rig = makeRig();
    await asleep(rig);
    rig.world.exit("drowsy-1", { code: 137, outOfMemory: true });
    await rig.clock.advance(SECOND);
    expect(rig.states()).toEqual([]);
  });

  it("is not asked for a token because of what happened before it fell asleep", async () => {
    const rig = makeRig();
    rig.request("drowsy");
    await rig.clock.advance(10 * SECOND);
    rig.world.hint({ kind: "out_of_memory", id: rig.world.containers.get("drowsy-1")?.ref.id ?? "" });
    await rig.clock.advance(10 * SECOND);
    expect(rig.states()).toEqual(["drowsy-1 sleeping"]);
    expect(rig.world.violations).toEqual([]);
  });

  it("is believed where the memory of its GPUs cannot be read", async () => {
    const rig = makeRig();
    rig.world.strangers.set(rig.world.gpus[0]?.id ?? "", undefined);
    await asleep(rig);
    expect(replicaOf(rig).residualShare).toBeUndefined();
  });
});

describe("a sleeper", () => {
  it("is woken once for all who ask, and no request reaches it before", async () => {
    const rig = makeRig();
    await asleep(rig);
    const requests = rig.requests("drowsy", 20);
    await rig.clock.advance(200);
    expect(rig.states()).toEqual(["drowsy-1 waking"]);
    await rig.clock.advance(5 * SECOND);
    expect(requests.map(({ outcome }) => outcome)).toEqual(requests.map(() => "served"));
    expect(rig.world.sleep.log.slice(1)).toEqual(["drowsy-1 awake as from level 1"]);
    expect(rig.world.starts).toEqual(["drowsy-1"]);
    expect(rig.world.violations).toEqual([]);
  });

  it("serves who asks while it is still falling asleep", async () => {
    const rig = makeRig();
    rig.world.sleep.pace.sleepMs = 5 * SECOND;
    rig.request("drowsy");
    await rig.clock.advance(14 * SECOND);
    expect(rig.states()).toEqual(["drowsy-1 dozing"]);
    const request = rig.request("drowsy");
    await rig.clock.advance(10 * SECOND);
    expect(request.outcome).toBe("served");
    expect(rig.world.violations).toEqual([]);
  });

  it.each(["dozing", "sleeping", "waking"] as const)("can be stopped at once while it is %s", async (state) => {
    const rig = makeRig();
    const { pace } = rig.world.sleep;
    pace.sleepMs = state === "dozing" ? MINUTE : 100;
    pace.wakeMs = MINUTE;
    rig.request("drowsy");
    await rig.clock.advance(15 * SECOND);
    if (state === "waking") rig.request("drowsy", { signal: AbortSignal.abort() });
    const waiting = state === "waking" ? rig.request("drowsy") : undefined;
    await rig.clock.advance(100);
    expect(rig.states()).toEqual([`drowsy-1 ${state}`]);
    rig.plane.fleet.stop(replicaOf(rig), "stopped", "an operator stopped it");
    await rig.clock.advance(500);
    expect(rig.world.containers.has("drowsy-1") && waiting === undefined).toBe(false);
    await rig.clock.advance(10 * SECOND);
    expect(waiting?.outcome ?? "served").toBe("served");
  });

  it("leaves its GPU to another model, and wakes when that has gone", async () => {
    const other = makeRecipe({ id: "other", gpus: 1, keepAliveMs: 30 * SECOND });
    const rig = makeRig({ recipes: [drowsy(), other] });
    await asleep(rig);
    rig.request("other");
    await rig.clock.advance(5 * SECOND);
    expect(rig.states()).toEqual(["drowsy-1 sleeping", "other-1 ready"]);
    await rig.clock.advance(MINUTE);
    expect(rig.states()).toEqual(["drowsy-1 sleeping"]);
    expect(rig.plane.fleet.machines.gpus()[0]?.reason).toBeUndefined();
    const request = rig.request("drowsy");
    await rig.clock.advance(5 * SECOND);
    expect(request.outcome).toBe("served");
    expect(rig.world.violations).toEqual([]);
  });
});

describe("a replica that", () => {
  it.each([
    ["does not fall asleep", (rig: Rig) => rig.world.sleep.sleepFaults.push(new Error("500")), 20 * SECOND],
    ["keeps the memory of its GPUs in its sleep", (rig: Rig) => rig.world.sleep.greedy.add("drowsy-1"), 100 * SECOND],
  ])("%s is replaced, and its recipe is left awake from then on", async (_, spoil, waitMs) => {
    const rig = makeRig();
    spoil(rig);
    rig.request("drowsy");
    await rig.clock.advance(waitMs);
    expect(rig.states()).toEqual([]);
    expect(rig.plane.fleet.lastFailure("drowsy")).toBeUndefined();
    rig.world.sleep.greedy.clear();
    const again = rig.request("drowsy");
    await rig.clock.advance(5 * MINUTE);
    expect(again.outcome).toBe("served");
    expect(rig.states()).toEqual(["drowsy-1 ready"]);
    expect(rig.events.since(0).some(({ message }) => message.includes("could not be put to sleep"))).toBe(true);
  });

  it("cannot be woken is replaced by a fresh one for those who wait", async () => {
    const rig = makeRig();
    await asleep(rig);
    rig.world.sleep.wakeFaults.push(new Error("HIP error: invalid argument"));
    const request = rig.request("drowsy");
    await rig.clock.advance(10 * SECOND);
    expect(request.outcome).toBe("served");
    expect(rig.world.starts).toHaveLength(2);
    expect(rig.events.since(0).some(({ message }) => message.includes("HIP error"))).toBe(true);
  });

  it("says that it is awake and generates nothing is replaced, too", async () => {
    let isBroken = false;
    const rig = makeRig({ engines: { generates: () => Promise.resolve(!isBroken) } });
    await asleep(rig);
    isBroken = true;
    const request = rig.request("drowsy");
    await rig.clock.advance(10 * SECOND);
    expect(request.outcome).toBe("served");
    expect(rig.world.starts).toHaveLength(2);
  });

  it("falls asleep while its runtime is away is a sleeper all the same", async () => {
    const rig = makeRig();
    rig.world.sleep.pace.sleepMs = 5 * SECOND;
    rig.request("drowsy");
    await rig.clock.advance(14 * SECOND);
    expect(rig.states()).toEqual(["drowsy-1 dozing"]);
    rig.world.outage = new Error("cannot reach Docker");
    await rig.clock.advance(100 * SECOND);
    expect(rig.states()).toEqual(["drowsy-1 sleeping"]);
    rig.world.outage = undefined;
  });
});

describe("a gateway that finds a replica running", () => {
  it("takes one over that sleeps without asking it for a token, with what it keeps, and wakes it as from any level", async () => {
    const rig = makeRig();
    await asleep(rig);
    rig.boot();
    await rig.clock.advance(2 * SECOND);
    expect(rig.states()).toEqual(["drowsy-1 sleeping"]);
    expect(replicaOf(rig).residualShare).toBeCloseTo(0.05, 1);
    expect([...rig.plane.fleet.snapshot().blocks]).toEqual([]);
    const request = rig.request("drowsy");
    await rig.clock.advance(3 * SECOND);
    expect(request.outcome).toBe("served");
    expect(rig.world.sleep.log.at(-1)).toBe("drowsy-1 awake as from level 2");
    expect(rig.world.violations).toEqual([]);
  });

  it("sees that one is just falling asleep", async () => {
    const rig = makeRig();
    rig.world.sleep.pace.sleepMs = 4 * SECOND;
    rig.request("drowsy");
    await rig.clock.advance(14 * SECOND);
    expect(rig.states()).toEqual(["drowsy-1 dozing"]);
    rig.boot();
    await rig.clock.advance(10 * SECOND);
    expect(rig.states()).toEqual(["drowsy-1 sleeping"]);
    expect(rig.world.violations).toEqual([]);
  });

  it("ends a sleeper whose recipe is gone", async () => {
    const rig = makeRig();
    await asleep(rig);
    rig.boot([]);
    await rig.clock.advance(30 * SECOND);
    expect(rig.states()).toEqual([]);
    expect(rig.world.violations).toEqual([]);
  });
});
