// Replicas that ought to run without being asked for: started with the gateway, or in place of one that died.
import { describe, expect, it } from "vitest";
import type { LaunchWish } from "../../src/control/operations/order-check.ts";
import { makeGpus, makeProfile, makeRecipe } from "../support/make.ts";
import { Rig, type RigOptions } from "../support/make-plane.ts";

const never = new AbortController().signal;
const CRASH = { code: 1, outOfMemory: false };
const HELD_UP = { settings: { keepAliveMs: Infinity } };

async function launched(options: RigOptions, wish: LaunchWish = { model: "tiny" }): Promise<Rig> {
  const rig = new Rig({ ...HELD_UP, ...options });
  await rig.clock.advance(100);
  const launch = rig.plane.operator.launch(wish, never);
  await rig.clock.advance(5_000);
  await launch;
  return rig;
}

function readyNames(rig: Rig): readonly string[] {
  return rig.plane.fleet.replicas
    .all()
    .filter(({ state }) => state === "ready")
    .map(({ name }) => name);
}

const wantedOf = (rig: Rig) => rig.plane.fleet.snapshot().demands.filter(({ kind }) => kind === "wanted");

describe("a recipe to be preloaded", () => {
  const preload = (overrides: Parameters<typeof makeRecipe>[0] = {}) => makeRecipe({ preload: true, ...overrides });

  it("is started when the gateway starts, once", async () => {
    const rig = new Rig({ recipes: [preload(), makeRecipe({ id: "other" })], ...HELD_UP });
    await rig.clock.advance(60_000);
    expect(rig.world.starts).toEqual(["tiny-1"]);
    expect(wantedOf(rig)).toEqual([]);
  });

  it("is unloaded when idle like any other, and not started again by itself", async () => {
    const rig = new Rig({ recipes: [preload()], settings: { keepAliveMs: 30_000 } });
    await rig.clock.advance(300_000);
    expect(rig.states()).toEqual([]);
    expect(rig.world.starts).toEqual(["tiny-1"]);
  });

  it("is not started where one is found running", async () => {
    const rig = new Rig({ recipes: [preload()], ...HELD_UP });
    await rig.clock.advance(5_000);
    rig.boot();
    await rig.clock.advance(60_000);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
    expect(rig.world.starts).toEqual(["tiny-1"]);
  });

  it("waits until it is known what runs, however long the runtime is away", async () => {
    const rig = new Rig({ recipes: [preload()], ...HELD_UP });
    await rig.clock.advance(5_000);
    rig.world.outage = new Error("the engine is being restarted");
    rig.boot();
    await rig.clock.advance(60_000);
    expect(wantedOf(rig)).toHaveLength(1);
    rig.world.outage = undefined;
    await rig.clock.advance(30_000);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
    expect(rig.world.starts).toEqual(["tiny-1"]);
  });

  it("makes nobody give way, and starts when there is room", async () => {
    const recipes = [preload({ gpus: 4 }), makeRecipe({ id: "other", gpus: 4 })];
    const rig = new Rig({ recipes, gpus: makeGpus(4), ...HELD_UP });
    const first = rig.request("other", { serveMs: 60_000 });
    await rig.clock.advance(5_000);
    expect(first.outcome).toBe("serving");
    await rig.clock.advance(600_000);
    expect(rig.states()).toEqual(["other-1 ready"]);
    void rig.plane.operator.stop("other", { force: false }, never);
    await rig.clock.advance(5_000);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
  });

  it("whose start fails is tried again when its pause is over, and no sooner", async () => {
    const rig = new Rig({ recipes: [preload()], ...HELD_UP });
    rig.world.startFaults.push(new Error("no such device"));
    const attempts: number[] = [];
    rig.world.onAttempt = () => attempts.push(rig.clock.now());
    await rig.clock.advance(60_000);
    expect(readyNames(rig)).toEqual(["tiny-1"]);
    const [first = NaN, second = NaN] = attempts;
    expect(attempts).toHaveLength(2);
    expect(second - first).toBeGreaterThanOrEqual(10_000);
  });

  it("is served by a start that somebody else caused", async () => {
    const recipes = [preload({ gpus: 4 }), makeRecipe({ id: "other", gpus: 4 })];
    const rig = new Rig({ recipes, gpus: makeGpus(4), ...HELD_UP });
    rig.request("other", { serveMs: 1_000 });
    const request = rig.request("tiny");
    await rig.clock.advance(300_000);
    expect(request.outcome).toBe("served");
    expect(rig.world.starts).toEqual(["other-1", "tiny-1"]);
    expect(wantedOf(rig)).toEqual([]);
  });
});

describe("a replica that an operator launched and that dies by itself", () => {
  it("is started again as it was", async () => {
    const gpus = makeGpus(4);
    const recipe = makeRecipe({ engine: "vllm", profiles: [makeProfile(2)], replicas: { min: 0, max: 1 } });
    const wish = { name: "mine", on: ["1", "3"], flags: ["--seed", "7"], keepAliveMs: 3_600_000 } as const;
    const rig = await launched({ recipes: [recipe], gpus }, { model: "tiny", ...wish });
    const before = rig.plane.fleet.replicas.find("mine");
    rig.plane.operator.pin("mine", true);
    rig.world.exit("mine", CRASH);
    await rig.clock.advance(20_000);
    const after = rig.plane.fleet.replicas.find("mine");
    expect(after).not.toBe(before);
    expect(after).toMatchObject({ state: "ready", pinned: true, keepAliveMs: 3_600_000 });
    expect(after?.identity).toEqual({ ...before?.identity, pinned: true });
  });

  it("is replaced again and again, after pauses that grow", async () => {
    const rig = await launched({ recipes: [makeRecipe()] });
    // The first one at once.
    rig.world.exit("tiny-1", CRASH);
    await rig.clock.advance(30_000);
    for (const pauseMs of [10_000, 20_000, 40_000, 80_000]) {
      const before = rig.world.starts.length;
      for (const name of readyNames(rig)) rig.world.exit(name, CRASH);
      await rig.clock.advance(pauseMs - 1_000);
      expect(rig.world.starts).toHaveLength(before);
      expect(wantedOf(rig)).toMatchObject([{ why: "replacement", request: { recipe: "tiny" } }]);
      await rig.clock.advance(30_000);
      expect(readyNames(rig)).toHaveLength(1);
    }
  });

  it("is started anew when the one in its place fails while it loads", async () => {
    const rig = await launched({ recipes: [makeRecipe()] });
    rig.world.startFaults.push(new Error("no such device"));
    rig.world.exit("tiny-1", CRASH);
    await rig.clock.advance(5_000);
    expect(readyNames(rig)).toEqual([]);
    await rig.clock.advance(30_000);
    expect(readyNames(rig)).toHaveLength(1);
  });

  it("is one replica again, not two, when requests wait for it", async () => {
    const recipe = makeRecipe({ maxInFlight: 1, replicas: { min: 0, max: 1 } });
    const rig = await launched({ recipes: [recipe] }, { model: "tiny", keepAliveMs: 3_600_000 });
    rig.requests("tiny", 5, { serveMs: 10_000 });
    await rig.clock.advance(100);
    rig.world.exit("tiny-1", CRASH);
    await rig.clock.advance(60_000);
    expect(rig.world.starts).toHaveLength(2);
    const [replica] = rig.plane.fleet.replicas.all();
    expect(replica).toMatchObject({ state: "ready", keepAliveMs: 3_600_000 });
    expect(wantedOf(rig)).toEqual([]);
    rig.world.exit("tiny-2", CRASH);
    await rig.clock.advance(60_000);
    expect(readyNames(rig)).toHaveLength(1);
    expect(rig.world.starts).toHaveLength(3);
  });

  it("is not started again when it was stopped, by an operator or from outside", async () => {
    const rig = await launched({ recipes: [makeRecipe()] });
    const stop = rig.plane.operator.stop("tiny", { force: false }, never);
    await rig.clock.advance(5_000);
    await stop;
    const other = await launched({ recipes: [makeRecipe()] });
    other.world.exit("tiny-1", { code: 143, outOfMemory: false });
    for (const { world, clock } of [rig, other]) {
      await clock.advance(600_000);
      expect(world.starts).toEqual(["tiny-1"]);
    }
  });

  it("is not started again when it never was ready", async () => {
    const rig = new Rig({ recipes: [makeRecipe()], ...HELD_UP });
    const launch = rig.plane.operator.launch({ model: "tiny" }, never);
    await rig.clock.advance(500);
    await launch;
    rig.world.exit("tiny-1", CRASH);
    await rig.clock.advance(600_000);
    expect(rig.world.starts).toEqual(["tiny-1"]);
  });

  it.each(["tiny", "tiny-1"])("is wanted no more once an operator stops %s, which is gone already", async (name) => {
    const rig = await launched({ recipes: [makeRecipe()] });
    rig.world.startFaults.push(...Array.from({ length: 9 }, () => new Error("no such device")));
    rig.world.exit("tiny-1", CRASH);
    await rig.clock.advance(200);
    for (let round = 0; round < 30 && wantedOf(rig).length === 0; round++) await rig.clock.advance(100);
    expect(wantedOf(rig)).toHaveLength(1);
    const stop = rig.plane.operator.stop(name, { force: false }, never);
    await rig.clock.advance(5_000);
    await stop;
    const tried = rig.world.starts.length;
    await rig.clock.advance(600_000);
    expect(wantedOf(rig)).toEqual([]);
    expect(rig.world.starts).toHaveLength(tried);
  });

  it("is still known as launched by the next gateway", async () => {
    const rig = await launched({ recipes: [makeRecipe()] });
    rig.boot();
    await rig.clock.advance(5_000);
    rig.world.exit("tiny-1", CRASH);
    await rig.clock.advance(20_000);
    expect(readyNames(rig)).toHaveLength(1);
    expect(rig.world.starts).toHaveLength(2);
  });
});

describe("a replica that nobody launched", () => {
  it("is not started again when it dies, unless it was pinned", async () => {
    for (const pinned of [false, true]) {
      const rig = new Rig({ recipes: [makeRecipe()], ...HELD_UP });
      rig.request("tiny");
      await rig.clock.advance(5_000);
      rig.plane.operator.pin("tiny", pinned);
      rig.world.exit("tiny-1", CRASH);
      await rig.clock.advance(60_000);
      expect(readyNames(rig)).toHaveLength(pinned ? 1 : 0);
    }
  });

  it("is started again where its recipe pins it", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ pinned: true })], ...HELD_UP });
    rig.request("tiny");
    await rig.clock.advance(5_000);
    rig.world.exit("tiny-1", CRASH);
    await rig.clock.advance(60_000);
    expect(readyNames(rig)).toHaveLength(1);
  });
});
