// Starts that meet something else on their way: a stop, another demand, a runtime that goes away.
import { describe, expect, it } from "vitest";
import { AimError, isAimError } from "../../src/errors.ts";
import { sleep } from "../../src/lib/clock.ts";
import { classifyFailure } from "../../src/runtime/failure.ts";
import { parseProgress } from "../../src/runtime/progress.ts";
import type { FakeContainer } from "../support/fake-world.ts";
import { Rig, type RigOptions } from "../support/make-plane.ts";
import type { TestRequest } from "../support/test-request.ts";
import { makeGpus, makeProfile, makeRecipe } from "../support/make.ts";

const never = new AbortController().signal;
const MINUTE = 60_000;
const SHARDS = "(EngineCore pid=9) Loading safetensors checkpoint shards:";

describe("a start", () => {
  it("is one, though a request and two operators ask in the same moment", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    await rig.clock.advance(1_000);
    const request = rig.request("tiny");
    const launches = Promise.all([1, 2].map(() => rig.plane.operator.launch({ model: "tiny" }, never)));
    await rig.clock.advance(5_000);
    expect((await launches).map(({ replica }) => replica.name)).toEqual(["tiny-1", "tiny-1"]);
    expect(request.outcome).toBe("served");
    expect(rig.world.starts).toEqual(["tiny-1"]);
  });

  it("that is stopped in the moment in which its container begins to run leaves no container", async () => {
    const rig = new Rig({ recipes: [makeRecipe()], settings: { reconcileEveryMs: 3_600_000 } });
    rig.world.onRunning = () => {
      const replica = rig.plane.fleet.replicas.find("tiny-1");
      if (replica !== undefined) rig.plane.fleet.stop(replica, "stopped", "an operator stopped it");
    };
    const leaving = new AbortController();
    rig.request("tiny", { signal: leaving.signal });
    await rig.clock.advance(50);
    leaving.abort(new Error("client left"));
    await rig.clock.advance(5_000);
    expect(rig.states()).toEqual([]);
    expect(rig.world.containers.size).toBe(0);
  });

  it("that the runtime cannot take now is not repeated at once, even where a minimum is to be kept", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ replicas: { min: 1, max: 1 } })] });
    let attempts = 0;
    rig.world.onAttempt = () => {
      attempts += 1;
      if (attempts > 50) throw new Error("a storm of starts");
    };
    await rig.clock.advance(50);
    rig.world.outage = new AimError("runtime_unavailable", "cannot reach Docker");
    await rig.clock.advance(5_000);
    expect(attempts).toBe(1);
    rig.world.outage = undefined;
    await rig.clock.advance(30_000);
    expect(rig.states()).toEqual(["tiny-1 ready"]);
  });

  it("whose container takes longer than the whole start may is given up", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ startTimeoutMs: 60_000 })] });
    rig.world.pace.createMs = 3_600_000;
    const request = rig.request("tiny");
    await rig.clock.advance(61_000);
    expect(isAimError(request.error, "model_start_timeout")).toBe(true);
    expect(rig.states()).toEqual([]);
  });
});

describe("a start whose engine says how far it is", () => {
  const rigOf = (options: Partial<RigOptions> = {}) => {
    const rig = new Rig({
      recipes: [makeRecipe({ startTimeoutMs: 30 * MINUTE })],
      engines: { parseProgress },
      ...options,
    });
    rig.world.pace.loadMs = 300 * MINUTE;
    rig.world.pace.logMs = 1_000;
    return rig;
  };
  const containerOf = (rig: Rig): FakeContainer => {
    const [container] = rig.world.containers.values();
    if (container === undefined) throw new Error("nothing runs");
    return container;
  };

  it("tells it to those who wait", async () => {
    const rig = rigOf();
    rig.request("tiny");
    await rig.clock.advance(5_000);
    expect(rig.plane.pool.describeWait("tiny")).toBe("loading the model");
    containerOf(rig).lines.push(`${SHARDS}  62% Completed | 5/8`);
    await rig.clock.advance(1_000);
    expect(rig.plane.pool.describeWait("tiny")).toBe("loading weights 62%");
    containerOf(rig).lines.push("INFO Using cache directory: /root/x for vLLM's torch.compile");
    await rig.clock.advance(1_000);
    expect(rig.plane.pool.describeWait("tiny")).toBe("compiling");
  });

  it("may take longer than its limit while it goes on, and is given up where it stands still", async () => {
    const rig = rigOf();
    const request = rig.request("tiny");
    for (let percent = 0; percent < 9; percent++) {
      await rig.clock.advance(5 * MINUTE);
      containerOf(rig).lines.push(`${SHARDS}  ${percent}% Completed`);
    }
    await rig.clock.advance(9 * MINUTE);
    expect(request.outcome).toBe("waiting");
    await rig.clock.advance(2 * MINUTE);
    expect(String(request.error)).toContain(
      "no progress for 10m while loading weights (last seen: loading weights 8%)",
    );
    expect(isAimError(request.error, "model_start_timeout")).toBe(true);
    expect(rig.world.containers.size).toBe(0);
  });

  it("is given up after three times its limit, even if it goes on", async () => {
    const rig = rigOf();
    const request = rig.request("tiny");
    for (let minute = 0; minute < 95 && request.outcome === "waiting"; minute++) {
      await rig.clock.advance(MINUTE);
      rig.world.containers.get("tiny-1")?.lines.push(`${SHARDS}  ${minute}% Completed`);
    }
    expect(String(request.error)).toContain("not ready after 1h 30m, given up while loading weights");
  });

  it("has no limit of ours while its image is pulled", async () => {
    const rig = rigOf({ recipes: [makeRecipe({ startTimeoutMs: MINUTE })] });
    rig.world.pace.loadMs = 1_000;
    rig.world.onImage = async (observe, signal) => {
      for (let gigabytes = 0; gigabytes <= 22; gigabytes++) {
        observe({ doneBytes: gigabytes * 1e9, totalBytes: 22e9, layers: [] });
        await sleep(rig.clock, MINUTE, signal);
      }
    };
    const request = rig.request("tiny");
    await rig.clock.advance(11 * MINUTE + 1);
    expect(rig.plane.pool.describeWait("tiny")).toBe("pulling the image 50%");
    expect(rig.plane.fleet.replicas.all()[0]?.progress.pull?.doneBytes).toBe(11e9);
    await rig.clock.advance(13 * MINUTE);
    expect(request.outcome).toBe("served");
  });

  it("goes on where its log breaks off for a while", async () => {
    const rig = rigOf();
    rig.request("tiny");
    await rig.clock.advance(5_000);
    const { lines } = containerOf(rig);
    lines.push(`${SHARDS}  10% Completed`);
    await rig.clock.advance(2_000);
    Object.assign(containerOf(rig), { state: "unresponsive" });
    await rig.clock.advance(2_000);
    Object.assign(containerOf(rig), { state: "running" });
    lines.push(`${SHARDS}  20% Completed`);
    await rig.clock.advance(10_000);
    expect(rig.plane.pool.describeWait("tiny")).toBe("loading weights 20%");
  });

  it("is expected to take as long as the last one, and says so when it takes longer than any", async () => {
    const rig = rigOf();
    rig.world.pace.loadMs = 40_000;
    await rig.plane.operator.launch({ model: "tiny" }, never);
    await rig.clock.advance(60_000);
    await Promise.all([rig.plane.operator.stop("tiny", { force: true }, never), rig.clock.advance(5_000)]);
    rig.world.pace.loadMs = 300_000;
    rig.request("tiny");
    await rig.clock.advance(10_100);
    expect(rig.plane.pool.describeWait("tiny")).toBe("loading the model, about 30 s left");
    expect(rig.plane.pool.retryAfterMs("tiny")).toBe(30_000);
    await rig.clock.advance(40_000);
    expect(rig.plane.pool.describeWait("tiny")).toBe("loading the model, longer than any start before");
  });
});

describe("a recipe that cannot work", () => {
  const crashing = makeRecipe({ profiles: [makeProfile(0, { env: { AIM_SIM_CRASH_BEFORE_READY: "0.3" } })] });

  it("costs three starts in ten minutes, however many ask, and each gets an answer at once", async () => {
    const rig = new Rig({ recipes: [crashing] });
    const requests: TestRequest[] = [];
    for (let count = 0; count < 100; count++) {
      const request = rig.request("tiny");
      requests.push(request);
      // Longer than a start takes to fail, and a stop to be carried out.
      await rig.clock.advance(3_000);
      expect(request.outcome).toBe("refused");
      await rig.clock.advance(3_000);
    }
    expect(rig.clock.now()).toBe(10 * MINUTE);
    expect(rig.world.starts).toHaveLength(3);
    expect(requests.every(({ error }) => isAimError(error, "model_start_failed"))).toBe(true);
  });

  it("says truthfully when it is worth asking again", async () => {
    const rig = new Rig({ recipes: [crashing] });
    const refused: number[] = [];
    while (rig.clock.now() < 25 * MINUTE) {
      const before = rig.world.starts.length;
      const { error } = await answered(rig);
      const retryAfterMs = isAimError(error) ? (error.retryAfterMs ?? 0) : 0;
      refused.push(rig.world.starts.length - before);
      await rig.clock.advance(retryAfterMs);
    }
    // Each who came when told caused a start: none came too early.
    expect(refused).toEqual(refused.map(() => 1));
    expect(refused.length).toBeLessThan(9);
  });

  it("is tried at once when an operator launches it", async () => {
    const rig = new Rig({ recipes: [crashing] });
    for (let count = 0; count < 3; count++) {
      await answered(rig);
      await rig.clock.advance(MINUTE);
    }
    const before = rig.world.starts.length;
    void rig.plane.operator.launch({ model: "tiny" }, never).catch(() => undefined);
    await rig.clock.advance(5_000);
    expect(rig.world.starts.length).toBe(before + 1);
  });

  it("is told apart by what it said, though many lines followed, and no secret is kept", async () => {
    const secret = ["hf", "abcdefghijklmnop"].join("_");
    const rig = new Rig({ recipes: [crashing], diagnose: classifyFailure });
    rig.world.onRunning = ({ lines }) => {
      lines.push("torch.OutOfMemoryError: HIP out of memory.");
      for (let count = 0; count < 200; count++) lines.push(`  File "utils.py", line ${count}`);
      lines.push(`Authorization: Bearer ${secret}`);
    };
    const { error } = await answered(rig);
    expect(isAimError(error) && error.data).toMatchObject({ cause: "out_of_memory" });
    const lastLines = rig.plane.fleet.lastFailure("tiny")?.lastLines;
    expect(lastLines).toHaveLength(50);
    expect(lastLines?.at(-1)).toBe("Authorization: Bearer hf_***");
  });

  async function answered(rig: Rig): Promise<TestRequest> {
    const request = rig.request("tiny");
    await rig.clock.advance(3_000);
    expect(request.outcome).toBe("refused");
    return request;
  }
});

describe("a model that is never idle", () => {
  it("gives way to one that waits for its GPUs, and both are served in turns", async () => {
    const recipes = [makeRecipe({ id: "a", gpus: 1 }), makeRecipe({ id: "b", gpus: 1 })];
    const rig = new Rig({ recipes, gpus: makeGpus(1) });
    const waiting = [];
    for (let second = 0; second < 600; second++) {
      rig.request("a", { serveMs: 3_000 });
      waiting.push(rig.request("b", { serveMs: 3_000 }));
      await rig.clock.advance(1_000);
    }
    expect(waiting.slice(0, 300).map(({ outcome }) => outcome)).not.toContain("waiting");
    expect(rig.world.violations).toEqual([]);
    expect(rig.world.starts.length).toBeLessThan(12);
  });
});
