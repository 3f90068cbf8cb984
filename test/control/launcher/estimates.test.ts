// How long starts take, learned and kept; and what that says about one that is under way.
import { describe, expect, it } from "vitest";
import { Estimates, type EstimateStore } from "../../../src/control/launcher/estimates.ts";
import { Replica } from "../../../src/control/replica.ts";
import { FakeClock, settle } from "../../support/clock.ts";

const SECOND = 1_000;

class Memory implements EstimateStore {
  content: unknown;
  saves = 0;

  async load(): Promise<unknown> {
    return this.content;
  }

  async save(value: unknown): Promise<void> {
    this.saves += 1;
    this.content = structuredClone(value);
  }
}

function makeReplica(clock: FakeClock, recipeId = "a", image = "vllm:1"): Replica {
  const identity = {
    name: `${recipeId}-1`,
    model: recipeId,
    recipeId,
    recipeHash: "h",
    profileId: "1_gpu",
    runtime: "docker",
    gpus: [],
    adopted: false,
  } as const;
  const start = { state: "pending", reason: "", now: clock.now(), wallNow: clock.wallNow() } as const;
  const replica = new Replica(identity, { recipe: undefined, profile: undefined }, start);
  replica.image = image;
  return replica;
}

/** A start as its launcher tells it; resolves when the replica is ready. */
async function start(clock: FakeClock, estimates: Estimates, took: { pullMs?: number; loadMs: number }, recipe = "a") {
  const replica = makeReplica(clock, recipe);
  if (took.pullMs !== undefined) {
    replica.progress.onPull({ doneBytes: 0, totalBytes: undefined, layers: [] }, clock.now());
    await clock.advance(took.pullMs);
  }
  replica.progress.onStarting(clock.now());
  replica.progress.onRunning(clock.now());
  await clock.advance(took.loadMs);
  replica.progress.end(clock.now());
  estimates.record(replica);
}

function running(clock: FakeClock): Replica {
  const replica = makeReplica(clock);
  replica.progress.onStarting(clock.now());
  replica.progress.onRunning(clock.now());
  return replica;
}

describe("estimates", () => {
  it("know nothing before the first start", () => {
    const clock = new FakeClock();
    expect(new Estimates({ clock }).outlook(running(clock))).toEqual({ kind: "unknown" });
  });

  it("are the median of the last five loads, however long the pulls took", async () => {
    const clock = new FakeClock();
    const estimates = new Estimates({ clock });
    for (const seconds of [1, 1_000, 60, 50, 70, 55]) {
      await start(clock, estimates, { pullMs: 900 * SECOND, loadMs: seconds * SECOND });
    }
    expect(estimates.etaMs(running(clock))).toBe(60 * SECOND);
  });

  it("are kept apart by recipe, profile and image", async () => {
    const clock = new FakeClock();
    const estimates = new Estimates({ clock });
    await start(clock, estimates, { loadMs: 40 * SECOND });
    for (const other of [makeReplica(clock, "b"), makeReplica(clock, "a", "vllm:2")]) {
      expect(estimates.etaMs(other)).toBeUndefined();
    }
  });

  it("run down while it loads, as long as usual, then as long as the longest, then say that it is overdue", async () => {
    const clock = new FakeClock();
    const estimates = new Estimates({ clock });
    for (const seconds of [40, 40, 60]) await start(clock, estimates, { loadMs: seconds * SECOND });
    const replica = running(clock);
    await clock.advance(30 * SECOND);
    expect(estimates.outlook(replica)).toEqual({ kind: "left", ms: 10 * SECOND });
    await clock.advance(15 * SECOND);
    expect(estimates.outlook(replica)).toEqual({ kind: "left", ms: 15 * SECOND });
    await clock.advance(15 * SECOND);
    expect(estimates.outlook(replica)).toEqual({ kind: "overdue" });
    expect(estimates.etaMs(replica)).toBeUndefined();
  });

  it("believe a slow bar before an earlier start", async () => {
    const clock = new FakeClock();
    const estimates = new Estimates({ clock });
    await start(clock, estimates, { loadMs: 40 * SECOND });
    const replica = running(clock);
    replica.progress.onStep({ phase: "weights", text: "loading weights", percent: 0 }, clock.now());
    await clock.advance(30 * SECOND);
    replica.progress.onStep({ phase: "weights", text: "loading weights", percent: 10 }, clock.now());
    expect(estimates.etaMs(replica)).toBe(270 * SECOND);
  });

  it("add what is left of a pull, by its speed, or by earlier pulls where its size is unknown", async () => {
    const clock = new FakeClock();
    const estimates = new Estimates({ clock });
    await start(clock, estimates, { pullMs: 100 * SECOND, loadMs: 40 * SECOND });
    const replica = makeReplica(clock);
    replica.progress.onPull({ doneBytes: 1_000, totalBytes: undefined, layers: [] }, clock.now());
    await clock.advance(10 * SECOND);
    expect(estimates.etaMs(replica)).toBe(130 * SECOND);
    replica.progress.onPull({ doneBytes: 2_000, totalBytes: 5_000, layers: [] }, clock.now());
    expect(estimates.etaMs(replica)).toBe(70 * SECOND);
    await clock.advance(200 * SECOND);
    replica.progress.onPull({ doneBytes: 2_000, totalBytes: undefined, layers: [] }, clock.now());
    expect(estimates.etaMs(replica)).toBeUndefined();
  });
});

describe("estimates of what does not run yet", () => {
  it("are those of the image that was started last", async () => {
    const clock = new FakeClock();
    const estimates = new Estimates({ clock });
    expect(estimates.usualLoadOf("a", "1_gpu")).toBeUndefined();
    await start(clock, estimates, { loadMs: 40 * SECOND });
    await start(clock, estimates, { loadMs: 90 * SECOND }, "b");
    const newer = makeReplica(clock, "a", "vllm:2");
    newer.progress.onRunning(clock.now());
    await clock.advance(60 * SECOND);
    estimates.record(newer);
    expect(estimates.usualLoadOf("a", "1_gpu")).toBe(60 * SECOND);
    expect(estimates.usualLoadOf("a", "2_gpu")).toBeUndefined();
    expect(estimates.usualLoadOfModel("a")).toBe(60 * SECOND);
    expect(estimates.usualLoadOfModel("b")).toBe(90 * SECOND);
    expect(estimates.usualLoadOfModel("c")).toBeUndefined();
  });

  it("outlive the gateway, and are forgotten with what they came from", async () => {
    const clock = new FakeClock({ turns: 1 });
    const store = new Memory();
    const before = new Estimates({ clock, store });
    await start(clock, before, { loadMs: 40 * SECOND });
    await before.close();
    const after = new Estimates({ clock, store });
    await after.close();
    expect(after.usualLoadOf("a", "1_gpu")).toBe(40 * SECOND);
    expect(after.usualLoadOfModel("a")).toBe(40 * SECOND);
    for (let count = 0; count < 500; count++) await start(clock, after, { loadMs: SECOND }, `r${count}`);
    expect(after.usualLoadOf("a", "1_gpu")).toBeUndefined();
    expect(after.usualLoadOfModel("a")).toBeUndefined();
  });
});

describe("estimates of a wake-up", () => {
  const asleep = (clock: FakeClock) => {
    const replica = makeReplica(clock);
    for (const state of ["starting", "loading", "ready", "dozing", "sleeping", "waking"] as const)
      replica.transition(state, state, clock.now());
    return replica;
  };

  it("are the median of the last ones, run down while it wakes up, and leave those of loads alone", async () => {
    const clock = new FakeClock();
    const estimates = new Estimates({ clock });
    await start(clock, estimates, { loadMs: 40 * SECOND });
    for (const seconds of [2, 3, 10]) {
      const replica = asleep(clock);
      replica.wakeMs = seconds * SECOND;
      estimates.recordWake(replica);
    }
    const replica = asleep(clock);
    expect(estimates.usualWakeMs(replica)).toBe(3 * SECOND);
    await clock.advance(SECOND);
    expect(estimates.etaMs(replica)).toBe(2 * SECOND);
    await clock.advance(10 * SECOND);
    expect(estimates.outlook(replica)).toEqual({ kind: "overdue" });
    expect(estimates.usualLoadMs(replica)).toBe(40 * SECOND);
  });

  it("are unknown before the first", () => {
    const clock = new FakeClock();
    const estimates = new Estimates({ clock });
    estimates.recordWake(asleep(clock));
    expect(estimates.outlook(asleep(clock))).toEqual({ kind: "unknown" });
    expect(estimates.usualWakeMs(asleep(clock))).toBeUndefined();
  });
});

describe("estimates on disk", () => {
  it("outlive the gateway", async () => {
    const clock = new FakeClock();
    const store = new Memory();
    const before = new Estimates({ clock, store });
    await start(clock, before, { loadMs: 40 * SECOND });
    await before.close();
    const after = new Estimates({ clock, store });
    await after.close();
    expect(after.etaMs(running(clock))).toBe(40 * SECOND);
  });

  it("are written once for what was learned while a write was under way", async () => {
    const clock = new FakeClock();
    const store = new Memory();
    const { promise, resolve } = Promise.withResolvers<void>();
    const slow: EstimateStore = { load: () => store.load(), save: (value) => promise.then(() => store.save(value)) };
    const estimates = new Estimates({ clock, store: slow });
    for (let count = 0; count < 5; count++) await start(clock, estimates, { loadMs: SECOND });
    resolve();
    await estimates.close();
    expect(store.saves).toBe(2);
    expect(store.content).toMatchObject({ starts: [{ loadMs: [1_000, 1_000, 1_000, 1_000, 1_000] }] });
  });

  it.each([
    ["of another version", { version: 2, starts: [] }],
    ["that is something else", ["hello"]],
    ["with values that cannot be", { version: 1, starts: [{ key: "a", pullMs: [], loadMs: ["soon"] }] }],
    ["with times that no start takes", { version: 1, starts: [{ key: "a", pullMs: [], loadMs: [1e300] }] }],
  ])("in a file %s are learned anew, with one warning", async (_, content) => {
    const clock = new FakeClock();
    const store = new Memory();
    store.content = content;
    const problems: string[] = [];
    const estimates = new Estimates({ clock, store, onProblem: (problem) => void problems.push(problem) });
    await start(clock, estimates, { loadMs: 40 * SECOND });
    await estimates.close();
    expect(estimates.etaMs(running(clock))).toBe(40 * SECOND);
    expect(problems).toHaveLength(1);
    expect(store.content).toMatchObject({ version: 1 });
  });

  it("that cannot be stored are told of once, and known all the same", async () => {
    const clock = new FakeClock();
    const problems: string[] = [];
    const store: EstimateStore = {
      load: () => Promise.reject(new Error("EACCES")),
      save: () => Promise.reject(new Error("EROFS")),
    };
    const estimates = new Estimates({ clock, store, onProblem: (problem) => void problems.push(problem) });
    for (let count = 0; count < 3; count++) {
      await start(clock, estimates, { loadMs: 40 * SECOND });
      await settle();
    }
    await estimates.close();
    expect(estimates.etaMs(running(clock))).toBe(40 * SECOND);
    expect(problems).toHaveLength(2);
  });

  it("are bounded: those that were not used for longest are forgotten", async () => {
    const clock = new FakeClock({ turns: 1 });
    const store = new Memory();
    const estimates = new Estimates({ clock, store });
    for (let count = 0; count < 501; count++) await start(clock, estimates, { loadMs: SECOND }, `r${count}`);
    await estimates.close();
    expect(store.content).toMatchObject({ starts: { length: 500 } });
    expect(estimates.etaMs(makeReplica(clock, "r0"))).toBeUndefined();
    expect(estimates.etaMs(makeReplica(clock, "r500"))).toBe(SECOND);
  });
});
