import { describe, expect, it } from "vitest";
import { isAimError } from "../../src/errors.ts";
import { Rig } from "../support/make-plane.ts";
import { makeGpus, makeProfile, makeRecipe } from "../support/make.ts";

const never = new AbortController().signal;

function outcomes(requests: readonly { readonly outcome: string }[]): Record<string, number> {
  return Object.fromEntries(
    [...Map.groupBy(requests, ({ outcome }) => outcome)].map(([name, all]) => [name, all.length]),
  );
}

describe("a cold start", () => {
  it("is one start, however many requests ask first", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    const requests = rig.requests("tiny", 100);
    await rig.clock.advance(8_000);
    expect(outcomes(requests)).toEqual({ served: 100 });
    expect(rig.world.starts).toEqual(["tiny-1"]);
  });

  it("is told to leases as cold, and later ones are warm and synchronous", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    const first = rig.request("tiny");
    await rig.clock.advance(5_000);
    expect(first.lease?.coldStart).toBe(true);
    expect(rig.plane.pool.tryAcquire("tiny", { bodyBytes: 0 })?.coldStart).toBe(false);
  });

  it("says what it is doing, and how long it usually takes once that is known", async () => {
    const rig = new Rig({ recipes: [makeRecipe()], settings: { keepAliveMs: 1_000 } });
    rig.request("tiny");
    await rig.clock.advance(50);
    expect(rig.plane.pool.describeWait("tiny")).toBe("starting the engine");
    await rig.clock.advance(500);
    expect(rig.plane.pool.describeWait("tiny")).toBe("loading");
    await rig.clock.advance(20_000);
    rig.request("tiny");
    await rig.clock.advance(550);
    expect(rig.plane.pool.describeWait("tiny")).toMatch(/^loading, about 1 s left$/);
    expect(rig.plane.pool.retryAfterMs("tiny")).toBe(1_000);
  });

  it("that fails answers everybody who waits at once, with the cause, and backs off", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    const requests = rig.requests("tiny", 3);
    await rig.clock.advance(500);
    rig.world.exit("tiny-1", { code: 1, outOfMemory: false });
    await rig.clock.advance(900);
    expect(outcomes(requests)).toEqual({ refused: 3 });
    expect(isAimError(requests[0]?.error, "model_start_failed")).toBe(true);
    const next = rig.request("tiny");
    await rig.clock.advance(10);
    expect(next.outcome).toBe("refused");
    expect(rig.world.starts).toHaveLength(1);
    await rig.clock.advance(11_000);
    const later = rig.request("tiny");
    await rig.clock.advance(3_000);
    expect(later.outcome).toBe("served");
  });

  it("whose driver refuses is cleaned up and reported", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    rig.world.startFaults.push(new Error("no such device"));
    const request = rig.request("tiny");
    await rig.clock.advance(1_000);
    expect(request.outcome).toBe("refused");
    expect(rig.states()).toEqual([]);
    expect(rig.plane.status.models()[0]).toMatchObject({
      status: "failed",
      reason: expect.stringContaining("no such device"),
    });
  });

  it("that takes longer than its limit is given up", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ startTimeoutMs: 60_000 })] });
    rig.world.pace.loadMs = 3_600_000;
    const request = rig.request("tiny");
    await rig.clock.advance(62_000);
    expect(isAimError(request.error, "model_start_timeout")).toBe(true);
    expect(rig.world.containers.size).toBe(0);
  });

  it("that fails refuses nobody while another one is coming up", async () => {
    const profiles = [makeProfile(1), makeProfile(2, { isDefault: false })];
    const rig = new Rig({ recipes: [makeRecipe({ profiles, replicas: { min: 0, max: 2 } })], gpus: makeGpus(3) });
    const request = rig.request("tiny");
    await rig.clock.advance(500);
    await Promise.all([rig.plane.operator.launch({ model: "tiny", gpus: 2 }, never), rig.clock.advance(200)]);
    rig.world.exit("tiny-1", { code: 1, outOfMemory: false });
    await rig.clock.advance(5_000);
    expect(request).toMatchObject({ outcome: "served", replica: "tiny-2" });
  });

  it("that succeeds makes an earlier failure history", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ keepAliveMs: 1_000 })] });
    rig.world.startFaults.push(new Error("no such device"));
    rig.request("tiny");
    await rig.clock.advance(15_000);
    expect(rig.plane.status.models()[0]?.status).toBe("failed");
    rig.request("tiny");
    await rig.clock.advance(10_000);
    expect(rig.plane.status.models()[0]?.status).toBe("cold");
  });

  it("goes on when its only waiter leaves, and that waiter's place is free", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    const leaving = new AbortController();
    const request = rig.request("tiny", { signal: leaving.signal });
    await rig.clock.advance(500);
    leaving.abort(new Error("client gone"));
    await rig.clock.advance(5_000);
    expect(request.outcome).toBe("refused");
    expect(rig.states()).toEqual(["tiny-1 ready"]);
    expect(rig.plane.fleet.replicas.find("tiny-1")?.inFlight).toBe(0);
  });
});

describe("keep-alive", () => {
  it("unloads a model that was idle for that long, and not before", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    rig.request("tiny", { serveMs: 30_000 });
    await rig.clock.advance(89_000);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
    await rig.clock.advance(5_000);
    expect(rig.states()).toEqual([]);
    expect(rig.world.violations).toEqual([]);
  });

  it("of one model is not put off by another one's", async () => {
    const recipes = [makeRecipe({ id: "a", keepAliveMs: 5_000 }), makeRecipe({ id: "b" })];
    const rig = new Rig({ recipes, settings: { reconcileEveryMs: 3_600_000 } });
    rig.request("a");
    rig.request("b");
    await rig.clock.advance(5_000);
    rig.request("a");
    rig.request("b", { serveMs: 2_000 });
    await rig.clock.advance(7_000);
    expect(rig.states()).toEqual(["b-1 ready"]);
  });

  it("starts anew with each request", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    for (let turn = 0; turn < 5; turn++) {
      rig.request("tiny");
      await rig.clock.advance(50_000);
    }
    expect(rig.world.starts).toEqual(["tiny-1"]);
  });

  it("does not run while a request is served, however long that takes", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ keepAliveMs: 1_000 })] });
    const request = rig.request("tiny", { serveMs: 500_000 });
    await rig.clock.advance(400_000);
    expect(request.outcome).toBe("serving");
    await rig.clock.advance(200_000);
    expect(request.outcome).toBe("served");
    expect(rig.world.violations).toEqual([]);
  });

  it("sets no timer for a replica that is gone when its last request ends", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    rig.request("tiny");
    await rig.clock.advance(5_000);
    const lease = await rig.plane.pool.acquire("tiny", { bodyBytes: 0 }, never);
    rig.world.remove("tiny-1");
    await rig.clock.advance(5_000);
    expect(rig.states()).toEqual([]);
    const before = rig.clock.pending;
    lease.release();
    await rig.clock.advance(0);
    expect(rig.clock.pending).toBe(before);
  });

  it("may be forever", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ keepAliveMs: Infinity })] });
    rig.request("tiny");
    await rig.clock.advance(10 * 24 * 3_600_000);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
  });

  it("leaves the recipe's minimum running, and keeps it running", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ replicas: { min: 1, max: 1 } })] });
    await rig.clock.advance(300_000);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
    rig.world.remove("tiny-1");
    await rig.clock.advance(10_000);
    expect(rig.world.starts).toHaveLength(2);
  });
});

describe("a machine that is full", () => {
  const recipes = [makeRecipe({ id: "a", gpus: 4 }), makeRecipe({ id: "b", gpus: 4 })];

  it("serves the second model after the first is idle, and everybody gets an answer", async () => {
    const rig = new Rig({ recipes, gpus: makeGpus(4) });
    const first = rig.requests("a", 100, { serveMs: 20_000 });
    await rig.clock.advance(5_000);
    const second = rig.requests("b", 100);
    await rig.clock.advance(10_000);
    expect(outcomes(second)).toEqual({ waiting: 100 });
    expect(rig.plane.pool.describeWait("b")).toContain("busy");
    await rig.clock.advance(30_000);
    expect(outcomes([...first, ...second])).toEqual({ served: 200 });
    expect(rig.world.starts).toEqual(["a-1", "b-1"]);
    expect(rig.world.violations).toEqual([]);
  });

  it("evicts the least recently used model, and no more than needed", async () => {
    const three = ["a", "b", "c"].map((id) => makeRecipe({ id, gpus: 4 }));
    const rig = new Rig({ recipes: three, gpus: makeGpus(8) });
    for (const model of ["a", "b", "a"]) {
      rig.request(model);
      await rig.clock.advance(5_000);
    }
    rig.request("c");
    await rig.clock.advance(5_000);
    expect(rig.states()).toEqual(["a-1 ready", "c-1 ready"]);
  });

  it("does not hand out GPUs before the replica that held them is gone", async () => {
    const rig = new Rig({ recipes, gpus: makeGpus(4) });
    rig.world.pace.stopMs = 40_000;
    rig.request("a");
    await rig.clock.advance(5_000);
    const second = rig.request("b");
    await rig.clock.advance(35_000);
    expect(second.outcome).toBe("waiting");
    expect(rig.world.starts).toEqual(["a-1"]);
    await rig.clock.advance(20_000);
    expect(second.outcome).toBe("served");
    expect(rig.world.violations).toEqual([]);
  });

  it("refuses at once what it never has room for, and says so", async () => {
    const rig = new Rig({ recipes, gpus: makeGpus(2) });
    const request = rig.request("a");
    await rig.clock.advance(100);
    expect(isAimError(request.error, "model_unavailable")).toBe(true);
    expect(String(request.error)).toContain("4");
  });
});

describe("launch and stop", () => {
  it("launch starts what was asked for and is idempotent", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    const first = await Promise.all([rig.plane.operator.launch({ model: "tiny" }, never), rig.clock.advance(100)]);
    expect(first[0]).toMatchObject({ created: true, replica: { name: "tiny-1" } });
    await rig.clock.advance(5_000);
    const [again] = await Promise.all([rig.plane.operator.launch({ model: "tiny" }, never), rig.clock.advance(100)]);
    expect(again).toMatchObject({ created: false, replica: { name: "tiny-1", state: "ready" } });
  });

  it("launch of what runs already gives it the idle time that is asked for", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    rig.request("tiny");
    await rig.clock.advance(5_000);
    await Promise.all([
      rig.plane.operator.launch({ model: "tiny", keepAliveMs: 600_000 }, never),
      rig.clock.advance(100),
    ]);
    await rig.clock.advance(500_000);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
    await rig.clock.advance(120_000);
    expect(rig.states()).toEqual([]);
  });

  it("stop ends a replica in whatever state it is, and its waiters get an answer from the next one", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    rig.world.pace.loadMs = 5_000;
    const request = rig.request("tiny");
    await rig.clock.advance(1_000);
    const [stopped] = await Promise.all([
      rig.plane.operator.stop("tiny-1", { force: false }, never),
      rig.clock.advance(1_000),
    ]);
    expect(stopped.map((one) => one.state)).toEqual(["gone"]);
    await rig.clock.advance(10_000);
    expect(request.outcome).toBe("served");
    expect(rig.world.starts).toHaveLength(2);
  });

  it("stop lets what is in flight finish, and takes nothing new", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    const long = rig.request("tiny", { serveMs: 30_000 });
    await rig.clock.advance(5_000);
    const stopping = rig.plane.operator.stop("tiny", { force: false }, never);
    await rig.clock.advance(1_000);
    expect(rig.states()).toEqual(["tiny-1 draining"]);
    const late = rig.request("tiny");
    await rig.clock.advance(60_000);
    await stopping;
    expect([long.outcome, late.outcome]).toEqual(["served", "served"]);
    expect(late.replica).toBe("tiny-2");
    expect(rig.world.violations).toEqual([]);
  });

  it("stop takes a replica down in the moment in which its last request ends", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    rig.request("tiny", { serveMs: 5_500 });
    await rig.clock.advance(2_000);
    const stopping = rig.plane.operator.stop("tiny", { force: false }, never);
    await rig.clock.advance(4_800);
    await stopping;
    expect(rig.states()).toEqual([]);
  });

  it("stop by force does not wait for requests", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    const request = rig.request("tiny", { serveMs: 30_000 });
    await rig.clock.advance(5_000);
    rig.world.condemned.add("tiny-1");
    await Promise.all([rig.plane.operator.stop("tiny", { force: true }, never), rig.clock.advance(500)]);
    expect(request.outcome).toBe("broken");
    expect(rig.states()).toEqual([]);
  });

  it.each([
    [0, 0],
    [1, 1],
    [100, 4],
  ])("logs of what failed and is gone are its last words: %i asked for, %i given", async (tail, given) => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    rig.request("tiny");
    await rig.clock.advance(500);
    rig.world.exit("tiny-1", { code: 1, outOfMemory: false });
    await rig.clock.advance(2_000);
    for (const name of ["tiny", "tiny-1"]) {
      const lines: string[] = [];
      for await (const { text } of rig.plane.operator.logs(name, { follow: false, tail }, never)) lines.push(text);
      expect(lines).toHaveLength(given);
    }
  });

  it("names what exists when a name is unknown", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    await expect(rig.plane.operator.stop("tinny", { force: false }, never)).rejects.toThrow(/did you mean tiny\?/);
    await expect(rig.plane.operator.launch({ model: "tiny", precision: "bf61" }, never)).rejects.toThrow(/bf16/);
  });
});

describe("a gateway that was killed", () => {
  it("takes over what runs, ready or loading, and starts nothing twice", async () => {
    const rig = new Rig({
      recipes: [makeRecipe({ id: "a" }), makeRecipe({ id: "b" }), makeRecipe({ id: "c" })],
    });
    rig.requests("a", 1);
    rig.requests("b", 1);
    await rig.clock.advance(5_000);
    rig.world.pace.loadMs = 20_000;
    rig.request("c");
    await rig.clock.advance(5_000);
    const ids = [...rig.world.containers.values()].map((container) => container.ref.id);
    rig.boot();
    const requests = ["a", "b", "c"].map((model) => rig.request(model));
    await rig.clock.advance(30_000);
    expect(outcomes(requests)).toEqual({ served: 3 });
    expect([...rig.world.containers.values()].map((container) => container.ref.id)).toEqual(ids);
    expect(rig.world.starts).toEqual(["a-1", "b-1", "c-1"]);
  });

  it("removes what is left of replicas that ended meanwhile", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    rig.request("tiny");
    await rig.clock.advance(5_000);
    rig.world.exit("tiny-1", { code: 137, outOfMemory: false });
    rig.boot();
    await rig.clock.advance(70_000);
    expect(rig.world.containers.size).toBe(0);
  });

  it("unloads an adopted replica whose recipe is gone once it is idle", async () => {
    const rig = new Rig({ recipes: [makeRecipe(), makeRecipe({ id: "other" })] });
    rig.request("tiny");
    await rig.clock.advance(5_000);
    rig.boot([makeRecipe({ id: "other" })]);
    await rig.clock.advance(5_000);
    expect(rig.world.containers.size).toBe(0);
  });
});

describe("what happens outside", () => {
  it("a replica removed by hand is noticed, and the next request starts a new one at once", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    rig.request("tiny");
    await rig.clock.advance(5_000);
    rig.world.remove("tiny-1");
    await rig.clock.advance(10);
    const next = rig.request("tiny");
    await rig.clock.advance(3_000);
    expect(next.outcome).toBe("served");
    expect(rig.world.starts).toHaveLength(2);
  });

  it.each([
    { exit: { code: 0, outOfMemory: false }, starts: 3 },
    { exit: { code: 143, outOfMemory: false }, starts: 3 },
    { exit: { code: 1, outOfMemory: false }, starts: 2 },
    { exit: { code: 143, outOfMemory: true }, starts: 2 },
  ])("replicas that end twice with $exit lead to $starts starts at once", async ({ exit, starts }) => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    for (let time = 0; time < 3; time++) {
      rig.request("tiny");
      await rig.clock.advance(3_000);
      rig.world.exit(`tiny-1`, exit);
      await rig.clock.advance(1_500);
    }
    expect(rig.world.starts).toHaveLength(starts);
  });

  it("a runtime that is away refuses with its reason; what runs goes on, and nothing is counted as a crash", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ id: "a" }), makeRecipe({ id: "b" })] });
    rig.request("a");
    await rig.clock.advance(5_000);
    rig.world.outage = new Error("cannot reach Docker");
    await rig.clock.advance(15_000);
    const [warm, cold] = [rig.request("a"), rig.request("b")];
    await rig.clock.advance(2_000);
    expect(warm.outcome).toBe("served");
    expect(isAimError(cold.error, "runtime_unavailable")).toBe(true);
    rig.world.outage = undefined;
    await rig.clock.advance(15_000);
    const again = rig.request("b");
    await rig.clock.advance(5_000);
    expect(again.outcome).toBe("served");
    expect(rig.world.starts).toEqual(["a-1", "b-1"]);
  });

  it("a stop that the runtime refuses is tried again, and the GPUs stay held until it worked", async () => {
    const rig = new Rig({
      recipes: [makeRecipe({ id: "a", gpus: 1 }), makeRecipe({ id: "b", gpus: 1 })],
      gpus: makeGpus(1),
    });
    rig.request("a");
    await rig.clock.advance(5_000);
    rig.world.stopFaults.push(new Error("busy"), new Error("busy"));
    const second = rig.request("b");
    await rig.clock.advance(1_500);
    expect(second.outcome).toBe("waiting");
    await rig.clock.advance(10_000);
    expect(second.outcome).toBe("served");
    expect(rig.world.violations).toEqual([]);
  });

  it("a replica that could not be reached is asked at once whether it answers", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    const first = rig.request("tiny");
    await rig.clock.advance(5_000);
    first.lease?.report({ kind: "unreachable", error: new Error("ECONNRESET") });
    expect(rig.plane.fleet.replicas.find("tiny-1")?.hasRoom).toBe(false);
    await rig.clock.advance(100);
    expect(rig.plane.fleet.replicas.find("tiny-1")?.hasRoom).toBe(true);
  });

  it("an unreachable replica gets no new requests, and is replaced when it stays so", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ replicas: { min: 0, max: 2 } })] });
    const first = rig.request("tiny");
    await rig.clock.advance(5_000);
    const container = rig.world.containers.get("tiny-1");
    if (container !== undefined) Object.assign(container, { loadedAt: Infinity });
    first.lease?.report({ kind: "unreachable", error: new Error("ECONNREFUSED") });
    const next = rig.request("tiny");
    await rig.clock.advance(5_000);
    expect(next).toMatchObject({ outcome: "served", replica: "tiny-2" });
    await rig.clock.advance(90_000);
    expect(rig.states()).not.toContain("tiny-1 ready");
  });
});

describe("shutting down", () => {
  it("answers those who wait, and keeps replicas that outlive the gateway", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ id: "a" }), makeRecipe({ id: "b" })] });
    rig.request("a");
    await rig.clock.advance(5_000);
    const waiting = rig.request("b");
    await rig.clock.advance(500);
    await Promise.all([rig.plane.stop(), rig.clock.advance(1_000)]);
    expect(isAimError(waiting.error, "shutting_down")).toBe(true);
    expect([...rig.world.containers.keys()]).toContain("a-1");
    expect(rig.clock.pending).toBe(0);
  });

  it("takes down replicas of runtimes that do not outlive it", async () => {
    const rig = new Rig({ recipes: [makeRecipe()], settings: { keepOnExit: new Set() } });
    rig.request("tiny");
    await rig.clock.advance(5_000);
    await Promise.all([rig.plane.stop(), rig.clock.advance(10_000)]);
    expect(rig.world.containers.size).toBe(0);
    expect(rig.clock.pending).toBe(0);
  });
});
