// How models and replicas stand, as people see it: what sleeps, what waits and for how long, and what is measured of it.
import { describe, expect, it } from "vitest";
import { createMetrics } from "../../../src/telemetry/metrics.ts";
import type { ReplicaStatus } from "../../../src/control/operations/status.ts";
import { Rig } from "../../support/make-plane.ts";
import { makeGpus, makeProfile, makeRecipe } from "../../support/make.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

const modelOf = (rig: Rig, name: string) => rig.plane.status.models().find(({ model }) => model === name);
const replicaOf = (rig: Rig): ReplicaStatus | undefined => rig.plane.status.replicas()[0];
const at = (ms: number) => new Date(Date.UTC(2026, 0, 1) + ms).toISOString();

/** Sleeps after a minute, is unloaded after ten; a gateway that has just looked around. */
async function withSleeper() {
  const sleep = { afterMs: MINUTE, level: 1 } as const;
  const recipes = [makeRecipe({ id: "a", gpus: 1, sleep, keepAliveMs: 10 * MINUTE })];
  const rig = new Rig({ recipes, gpus: makeGpus(1) });
  await rig.clock.advance(SECOND);
  return rig;
}

describe("a model that sleeps", () => {
  it("is first due to sleep, then to be unloaded, and is woken by a request", async () => {
    const rig = await withSleeper();
    rig.world.sleep.pace.wakeMs = 3 * SECOND;
    rig.request("a", { serveMs: 10 * SECOND });
    await rig.clock.advance(5 * SECOND);
    expect(replicaOf(rig)).toMatchObject({ state: "ready", keepAliveSeconds: 600 });
    expect(replicaOf(rig)).not.toHaveProperty("sleepsAt");
    await rig.clock.advance(10 * SECOND);
    const { idleSince = 0 } = rig.plane.fleet.replicas.find("a-1") ?? {};
    expect(replicaOf(rig)).toMatchObject({ sleepsAt: at(idleSince + MINUTE), idleUntil: at(idleSince + 10 * MINUTE) });

    await rig.clock.advance(2 * MINUTE);
    expect(replicaOf(rig)).toMatchObject({ state: "sleeping", sleepLevel: 1, idleUntil: at(idleSince + 10 * MINUTE) });
    expect(replicaOf(rig)).not.toHaveProperty("sleepsAt");
    expect(modelOf(rig, "a")).toMatchObject({ status: "sleeping" });
    expect(rig.plane.status.gpus()).toMatchObject([
      { status: "held", replica: "a-1", holders: [{ replica: "a-1", state: "sleeping", share: 1 }] },
    ]);

    rig.request("a");
    await rig.clock.advance(SECOND);
    expect(modelOf(rig, "a")).toMatchObject({ status: "starting", reason: "waking up", waiting: 1 });
    expect(rig.plane.pool.describeWait("a")).toBe("waking up");
    await rig.clock.advance(10 * SECOND);
    expect(modelOf(rig, "a")).toMatchObject({ status: "ready" });
  });

  it("is told of with the time that its wake-ups take, once one was seen", async () => {
    const rig = await withSleeper();
    rig.world.sleep.pace.wakeMs = 4 * SECOND;
    rig.request("a");
    await rig.clock.advance(2 * MINUTE);
    rig.request("a");
    await rig.clock.advance(2 * MINUTE);
    expect(replicaOf(rig)?.state).toBe("sleeping");
    expect(rig.plane.pool.retryAfterMs("a")).toBeGreaterThan(3_900);
    expect(rig.plane.pool.retryAfterMs("a")).toBeLessThan(5 * SECOND);
    rig.request("a");
    await rig.clock.advance(SECOND);
    expect(rig.plane.pool.describeWait("a")).toMatch(/^waking up, about [34] s left$/);
    expect(replicaOf(rig)?.etaSeconds).toBeGreaterThan(2);
    expect(modelOf(rig, "a")?.etaSeconds).toBeLessThan(5);
  });

  it("is not said to be due where the host has too little memory for it", async () => {
    const sleep = { afterMs: MINUTE, level: 1, hostMemoryBytes: 2 ** 30 } as const;
    const policy = {
      minResidencyMs: 0,
      maxWaitMs: MINUTE,
      maxStarts: 8,
      abortsUnwanted: true,
      sleepMemoryBytes: 2 ** 20,
    };
    const recipes = [makeRecipe({ id: "a", gpus: 1, sleep, keepAliveMs: 10 * MINUTE })];
    const rig = new Rig({ recipes, gpus: makeGpus(1), settings: { scheduling: policy } });
    rig.request("a");
    await rig.clock.advance(2 * MINUTE);
    expect(replicaOf(rig)).toMatchObject({ state: "ready", idleUntil: expect.stringMatching(/^2026/) });
    expect(replicaOf(rig)).not.toHaveProperty("sleepsAt");
  });

  it("that is pinned stays awake for ever", async () => {
    const rig = await withSleeper();
    rig.request("a");
    await rig.clock.advance(5 * SECOND);
    const replica = rig.plane.fleet.replicas.find("a-1");
    if (replica !== undefined) replica.pinned = true;
    expect(replicaOf(rig)).toMatchObject({ pinned: true, idleUntil: "forever" });
    expect(replicaOf(rig)).not.toHaveProperty("sleepsAt");
  });

  it("that its recipe keeps running is due for nothing, and any beyond that is", async () => {
    const replicas = { min: 1, max: 2 };
    const rig = new Rig({ recipes: [makeRecipe({ id: "a", gpus: 1, replicas })], gpus: makeGpus(2) });
    await rig.clock.advance(10 * SECOND);
    expect(replicaOf(rig)).toMatchObject({ state: "ready", idleUntil: "forever" });
    await rig.plane.operator.launch({ model: "a", replicas: 2 }, new AbortController().signal);
    await rig.clock.advance(5 * SECOND);
    expect(rig.plane.status.replicas()).toMatchObject([
      { idleUntil: expect.stringMatching(/^2026/) },
      { idleUntil: expect.stringMatching(/^2026/) },
    ]);
  });
});

describe("a model that waits for GPUs", () => {
  it("says for what and how long, and is counted by why", async () => {
    const rig = new Rig({
      recipes: [makeRecipe({ id: "a", gpus: 1 }), makeRecipe({ id: "b", gpus: 1 })],
      gpus: makeGpus(1),
    });
    await rig.clock.advance(SECOND);
    rig.request("b");
    await rig.clock.advance(3 * SECOND);
    rig.plane.fleet.stop(rig.plane.fleet.replicas.all()[0]!, "stopped", "");
    await rig.clock.advance(3 * SECOND);
    rig.request("a", { serveMs: 10 * MINUTE });
    await rig.clock.advance(5 * SECOND);
    for (let count = 0; count < 3; count++) rig.request("b");
    await rig.clock.advance(SECOND);
    const model = modelOf(rig, "b");
    expect(model).toMatchObject({ status: "cold", waiting: 3 });
    expect(model?.reason).toMatch(/^all 1 MI300X .*busy; one gives way in about 1m 30s, then loading takes about 1 s$/);
    expect(model?.publicReason).toBe(model?.reason);
    expect(model?.etaSeconds).toBeGreaterThan(80);
    const metrics = createMetrics();
    rig.plane.status.measure(metrics);
    expect(await metrics.registry.getSingleMetricAsString("aim_requests_held")).toContain(
      'aim_requests_held{model="b",why="busy"} 3',
    );
    const types = rig.events.since(0).map(({ type }) => type);
    expect(types.filter((type) => /^(hold|decision)/.test(type))).toEqual([
      "decision:start:requests",
      "decision:start:requests",
      "hold:busy",
    ]);
  });
});

describe("a replica with a share of a GPU", () => {
  it("is shown with it, beside the others on the card", async () => {
    const profiles = [makeProfile(1, { gpuFraction: 0.4 })];
    const recipes = ["a", "b"].map((id) => makeRecipe({ id, profiles }));
    const rig = new Rig({ recipes, gpus: makeGpus(1) });
    await rig.clock.advance(SECOND);
    for (const model of ["a", "b"]) {
      rig.request(model, { serveMs: 10 * MINUTE });
      await rig.clock.advance(5 * SECOND);
    }
    expect(rig.plane.status.replicas().map(({ gpuShare }) => gpuShare)).toEqual([0.4, 0.4]);
    expect(rig.plane.status.gpus()[0]?.holders).toMatchObject([
      { replica: "a-1", model: "a", share: 0.4 },
      { replica: "b-1", model: "b", share: 0.4 },
    ]);
    const metrics = createMetrics();
    rig.plane.status.measure(metrics);
    const text = await metrics.registry.getSingleMetricAsString("aim_gpu_allocated");
    for (const model of ["a", "b"])
      expect(text).toContain(`aim_gpu_allocated{gpu="${makeGpus(1)[0]?.id}",model="${model}"} 1`);
  });
});

describe("the metrics of where prompts went", () => {
  it("count their tokens, and those that should have been cached, however often they are looked at", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ replicas: { min: 2, max: 2 } })] });
    await rig.clock.advance(5 * SECOND);
    const body = Buffer.alloc(4_096, "prompt");
    const traits = { prompt: { body, spans: [{ start: 0, end: body.length }] } };
    const metrics = createMetrics();
    for (let turn = 0; turn < 3; turn++) {
      rig.request("tiny", { traits });
      await rig.clock.advance(2 * SECOND);
      rig.plane.status.measure(metrics);
    }
    const text = await metrics.registry.metrics();
    expect(text).toContain('aim_routing_prompt_tokens_total{model="tiny"} 3072');
    expect(text).toContain('aim_routing_cached_tokens_total{model="tiny"} 2048');
    await rig.plane.stop();
  });
});
