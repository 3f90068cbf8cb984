import { describe, expect, it } from "vitest";
import { isAimError } from "../../../src/errors.ts";
import { Rig } from "../../support/make-plane.ts";
import { makeGpus, makeRecipe } from "../../support/make.ts";

const never = new AbortController().signal;
const MAY_NOT = { mayStart: false } as const;

function inFlight(rig: Rig): readonly number[] {
  return rig.plane.fleet.replicas.all().map((replica) => replica.inFlight);
}

describe("a slot", () => {
  it("is not given to a client that has left already", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    rig.request("tiny");
    await rig.clock.advance(5_000);
    const left = AbortSignal.abort(new Error("left"));
    await expect(rig.plane.pool.acquire("tiny", { bodyBytes: 0 }, left)).rejects.toThrow("left");
    expect(inFlight(rig)).toEqual([0]);
  });

  it("goes by turns to replicas that are equally busy, however many requests each of them had", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ replicas: { min: 1, max: 2 } })] });
    await rig.clock.advance(5_000);
    for (let one = 0; one < 20; one++) (await rig.plane.pool.acquire("tiny", { bodyBytes: 0 }, never)).release();
    await Promise.all([rig.plane.operator.launch({ model: "tiny", replicas: 2 }, never), rig.clock.advance(10_000)]);
    const leases = await Promise.all(
      [1, 2, 3, 4].map(async () => {
        const lease = await rig.plane.pool.acquire("tiny", { bodyBytes: 0 }, never);
        lease.release();
        return lease.replica;
      }),
    );
    expect(leases).toEqual(["tiny-2", "tiny-1", "tiny-2", "tiny-1"]);
  });

  it("of a new replica is one of few, until it has shown what it bears", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    rig.world.pace.loadMs = 10_000;
    rig.requests("tiny", 100, { serveMs: 60_000 });
    const seen: number[] = [];
    for (let second = 0; second < 20; second++) {
      await rig.clock.advance(1_000);
      seen.push(...inFlight(rig));
    }
    expect([...new Set(seen)]).toEqual([0, 8, 16, 32, 64, 100]);
  });

  it("that is given back goes to whoever waits, also while its replica is new", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    const requests = rig.requests("tiny", 24, { serveMs: 100 });
    await rig.clock.advance(2_900);
    expect(requests.map(({ outcome }) => outcome)).toEqual(requests.map(() => "served"));
  });
});

describe("the prompt of a lease", () => {
  const body = Buffer.alloc(4_000, "prompt");
  const request = { bodyBytes: 0, prompt: { body, spans: [{ start: 0, end: body.length }] } };

  async function lease() {
    const rig = new Rig({ recipes: [makeRecipe({ replicas: { min: 1, max: 1 } })] });
    await rig.clock.advance(5_000);
    const [replica] = rig.plane.fleet.replicas.all();
    const queue = () => replica && rig.plane.router.queueOf(replica);
    return { rig, queue, lease: await rig.plane.pool.acquire("tiny", request, never) };
  }

  it("is in the queue of its replica until the answer begins, and once", async () => {
    const one = await lease();
    const other = await one.rig.plane.pool.acquire("tiny", request, never);
    expect(one.queue()).toMatchObject({ prompts: 2, tokens: 2_000 });
    one.lease.firstByte();
    one.lease.firstByte();
    expect(one.queue()).toMatchObject({ prompts: 1, tokens: 1_000 });
    one.lease.release();
    one.lease.firstByte();
    expect(one.queue()).toMatchObject({ prompts: 1, tokens: 1_000 });
    other.release();
    expect(one.queue()).toMatchObject({ prompts: 0, tokens: 0 });
  });

  it("leaves the queue with the lease where no answer began", async () => {
    const { lease: one, queue } = await lease();
    one.report({ kind: "broken", error: new Error("gone") });
    expect(queue()).toMatchObject({ prompts: 1, tokens: 1_000 });
    one.release();
    one.release();
    expect(queue()).toMatchObject({ prompts: 0, tokens: 0 });
  });

  it("is counted for a request that waited, too", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ maxInFlight: 1, replicas: { min: 1, max: 1 } })] });
    await rig.clock.advance(5_000);
    const first = await rig.plane.pool.acquire("tiny", { bodyBytes: 0 }, never);
    const waiting = rig.plane.pool.acquire("tiny", request, never);
    const [replica] = rig.plane.fleet.replicas.all();
    first.release();
    const second = await waiting;
    expect(replica && rig.plane.router.queueOf(replica)).toMatchObject({ prompts: 1, tokens: 1_000 });
    second.release();
  });
});

it("says when the model is expected to those whom the queue has no place for", async () => {
  const limits = { maxPerModel: 1, maxTotal: 1000, maxBytes: 2 ** 30 };
  const rig = new Rig({ recipes: [makeRecipe({ keepAliveMs: 1_000 })], settings: { waiters: limits } });
  rig.world.pace.loadMs = 40_000;
  rig.request("tiny");
  await rig.clock.advance(60_000);
  rig.request("tiny");
  await rig.clock.advance(20_000);
  const oneTooMany = rig.request("tiny");
  await rig.clock.advance(0);
  const { error } = oneTooMany;
  const retryAfterMs = isAimError(error, "queue_full") ? error.retryAfterMs : undefined;
  expect(retryAfterMs).toBeGreaterThan(15_000);
  expect(retryAfterMs).toBeLessThan(25_000);
});

describe("a request that may not start its model", () => {
  it("is refused at once while nothing of it runs", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    await rig.clock.advance(100);
    const asked = rig.plane.pool.acquire("tiny", { bodyBytes: 0, ...MAY_NOT }, never);
    await expect(asked).rejects.toMatchObject({ code: "model_asleep", retryable: false });
    await rig.clock.advance(5_000);
    expect(rig.world.starts).toEqual([]);
  });

  it("waits until it is known what already runs, and is served or refused then", async () => {
    const rig = new Rig({ recipes: [makeRecipe(), makeRecipe({ id: "other" })] });
    rig.request("tiny");
    await rig.clock.advance(5_000);
    rig.boot();
    const requests = ["tiny", "other"].map((model) => rig.request(model, { traits: MAY_NOT }));
    await rig.clock.advance(5_000);
    expect(requests.map(({ outcome }) => outcome)).toEqual(["served", "refused"]);
    expect(isAimError(requests[1]?.error, "model_asleep")).toBe(true);
  });

  it("joins what is started without being asked for", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ replicas: { min: 1, max: 1 } })] });
    const request = rig.request("tiny", { traits: MAY_NOT });
    await rig.clock.advance(5_000);
    expect(request.outcome).toBe("served");
  });

  it("is told of to operators when it is refused", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    await rig.clock.advance(100);
    rig.request("tiny", { traits: MAY_NOT });
    expect(rig.plane.fleet.demand.isEmpty).toBe(true);
    expect(rig.events.since(0).filter(({ type }) => type.startsWith("waiters:refused"))).toMatchObject([
      { model: "tiny" },
    ]);
  });

  it("is served by what runs, and waits for a slot of it", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ maxInFlight: 1 })] });
    rig.request("tiny");
    await rig.clock.advance(5_000);
    const requests = rig.requests("tiny", 2, { traits: MAY_NOT });
    await rig.clock.advance(2_100);
    expect(requests.map(({ outcome }) => outcome)).toEqual(["served", "served"]);
  });

  it("joins a load that somebody else caused, be it in the same moment", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    rig.request("tiny");
    const first = rig.request("tiny", { traits: MAY_NOT });
    await rig.clock.advance(1_000);
    const second = rig.request("tiny", { traits: MAY_NOT });
    await rig.clock.advance(5_000);
    expect([first.outcome, second.outcome]).toEqual(["served", "served"]);
  });

  it("is refused when the load that it joined fails and nobody who waits may cause another", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    const leaving = new AbortController();
    rig.request("tiny", { signal: leaving.signal });
    const joined = rig.request("tiny", { traits: MAY_NOT });
    await rig.clock.advance(500);
    leaving.abort(new Error("client gone"));
    await rig.clock.advance(10);
    expect(joined.outcome).toBe("waiting");
    rig.world.exit("tiny-1", { code: 1, outOfMemory: false });
    await rig.clock.advance(1_000);
    expect(isAimError(joined.error, "model_asleep")).toBe(true);
  });

  it("waits for the next replica when its own dies, if somebody who waits may start one", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ maxInFlight: 1 })] });
    rig.request("tiny", { serveMs: 60_000 });
    await rig.clock.advance(5_000);
    const may = rig.requests("tiny", 2);
    const mayNot = rig.request("tiny", { traits: MAY_NOT });
    rig.world.exit("tiny-1", { code: 1, outOfMemory: false });
    await rig.clock.advance(30_000);
    // The first got the slot of a replica that was not known to be dead yet.
    expect([...may, mayNot].map(({ outcome }) => outcome)).toEqual(["broken", "served", "served"]);
  });

  it("is refused when the only one leaves for whom its model would have been started", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ gpus: 4 }), makeRecipe({ id: "big", gpus: 4 })], gpus: makeGpus(4) });
    const leaving = new AbortController();
    rig.request("big", { serveMs: 100_000 });
    await rig.clock.advance(10_000);
    rig.request("tiny", { signal: leaving.signal });
    const joined = rig.request("tiny", { traits: MAY_NOT });
    await rig.clock.advance(1_000);
    expect(joined.outcome).toBe("waiting");
    leaving.abort(new Error("client gone"));
    await rig.clock.advance(0);
    expect(isAimError(joined.error, "model_asleep")).toBe(true);
  });

  it("is refused when that one has to make way in a full queue", async () => {
    const limits = { maxPerModel: 1000, maxTotal: 3, maxBytes: 2 ** 30 };
    const recipes = [makeRecipe({ gpus: 4 }), makeRecipe({ id: "big", gpus: 4 })];
    const rig = new Rig({ recipes, gpus: makeGpus(4), settings: { waiters: limits } });
    rig.request("big", { serveMs: 100_000 });
    await rig.clock.advance(10_000);
    const leaving = new AbortController();
    const ask = (client: string, rest = {}) => rig.request("tiny", { traits: { client, ...rest } });
    rig.request("tiny", { signal: leaving.signal, traits: { client: "a" } });
    const requests = [ask("a", MAY_NOT), ask("a")];
    leaving.abort(new Error("client gone"));
    requests.push(ask("b", MAY_NOT));
    await rig.clock.advance(0);
    expect(requests.map(({ outcome }) => outcome)).toEqual(["waiting", "waiting", "waiting"]);
    requests.push(ask("c", MAY_NOT));
    await rig.clock.advance(0);
    const codes = requests.map(({ error }) => (isAimError(error) ? error.code : undefined));
    expect(codes).toEqual(["model_asleep", "queue_full", "model_asleep", "model_asleep"]);
  });
});

describe("the keep-alive that a request asks for", () => {
  it("is that of the replica that serves it, warm or not", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    rig.request("tiny", { traits: { keepAliveMs: 10_000 } });
    await rig.clock.advance(5_000);
    expect(rig.plane.fleet.replicas.find("tiny-1")?.keepAliveMs).toBe(10_000);
    rig.request("tiny", { traits: { keepAliveMs: 20_000 } });
    rig.request("tiny");
    await rig.clock.advance(20_000);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
    await rig.clock.advance(5_000);
    expect(rig.states()).toEqual([]);
  });

  it("of nothing unloads it as soon as it is idle, and not before", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    rig.request("tiny", { serveMs: 10_000, traits: { keepAliveMs: 0 } });
    await rig.clock.advance(5_000);
    const other = rig.request("tiny", { serveMs: 20_000 });
    await rig.clock.advance(15_000);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
    await rig.clock.advance(5_001);
    expect(other.outcome).toBe("served");
    expect(rig.states()).not.toContain("tiny-1 ready");
  });

  it("is bounded by what the configuration allows", async () => {
    const rig = new Rig({ recipes: [makeRecipe()], settings: { keepAliveMaxMs: 30_000 } });
    rig.request("tiny", { traits: { keepAliveMs: Infinity } });
    await rig.clock.advance(5_000);
    expect(rig.plane.fleet.replicas.find("tiny-1")?.keepAliveMs).toBe(30_000);
  });

  it("changes nothing about a pinned replica", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ pinned: true })] });
    rig.request("tiny", { traits: { keepAliveMs: 0 } });
    await rig.clock.advance(60_000);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
    expect(rig.plane.fleet.replicas.find("tiny-1")?.keepAliveMs).toBeUndefined();
  });
});

it("heats its model, whether it has to wait or not", async () => {
  const rig = new Rig({ recipes: [makeRecipe()] });
  rig.request("tiny");
  await rig.clock.advance(5_000);
  rig.request("tiny");
  const [replica] = rig.plane.fleet.snapshot().replicas;
  expect(replica?.heat).toBeGreaterThan(1.9);
  expect(replica?.heat).toBeLessThan(2.1);
});
