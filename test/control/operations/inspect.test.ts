import { describe, expect, it } from "vitest";
import { fillIn, type Shown } from "../../../src/control/operations/inspect.ts";
import { ENGINE_PORT } from "../../../src/runtime/docker/observe.ts";
import { createMetrics } from "../../../src/telemetry/metrics.ts";
import { makeGpus, makeProfile, makeRecipe } from "../../support/make.ts";
import { Rig, type RigOptions } from "../../support/make-plane.ts";

const never = new AbortController().signal;
const GIB = 2 ** 30;

async function rigWith(options: RigOptions): Promise<Rig> {
  const rig = new Rig(options);
  await rig.clock.advance(100);
  return rig;
}

async function within<T>(rig: Rig, ms: number, work: Promise<T>): Promise<T> {
  const settled = Promise.allSettled([work]);
  await rig.clock.advance(ms);
  const [result] = await settled;
  if (result.status === "rejected") throw result.reason;
  return result.value;
}

async function serve(rig: Rig, model: string): Promise<void> {
  rig.request(model);
  await rig.clock.advance(5_000);
}

describe("what a launch would do", () => {
  it("comes with the image and the command line, the flags included, and changes nothing", async () => {
    const recipe = makeRecipe({ engine: "vllm", profiles: [makeProfile(2)] });
    const rig = await rigWith({ recipes: [recipe], gpus: makeGpus(2) });
    const explained = rig.plane.inspector.explain({ model: "tiny", gpus: 2, flags: ["--seed", "7"] });
    expect(explained).toMatchObject({ verdict: "starts", recipe: "tiny", profile: "2_gpu", image: "sim:latest" });
    expect(explained.gpus).toHaveLength(2);
    expect(explained.argv?.join(" ")).toMatch(/vllm serve tiny .*--tensor-parallel-size 2.*--seed 7$/);
    await rig.clock.advance(1_000);
    expect(rig.states()).toEqual([]);
  });

  it("names who would have to go", async () => {
    const recipes = ["a", "b"].map((id) => makeRecipe({ id, gpus: 2 }));
    const rig = await rigWith({ recipes, gpus: makeGpus(2) });
    await serve(rig, "a");
    await rig.clock.advance(30_000);
    expect(rig.plane.inspector.explain({ model: "b" })).toMatchObject({
      verdict: "evicts",
      evicts: [{ replica: "a-1" }],
    });
    expect(rig.states()).toEqual(["a-1 ready"]);
  });

  it("is a refusal where there is no command line to be run", async () => {
    const { image: _image, ...bare } = makeRecipe();
    const rig = await rigWith({ recipes: [bare] });
    const explained = rig.plane.inspector.explain({ model: "tiny" });
    expect(explained).toMatchObject({ verdict: "refused", summary: expect.stringContaining("has no image") });
  });

  it("is asked with the same care as a launch", async () => {
    const rig = await rigWith({ recipes: [makeRecipe()] });
    expect(() => rig.plane.inspector.explain({ model: "tinny" })).toThrow(/did you mean tiny\?/);
    expect(() => rig.plane.inspector.explain({ model: "tiny", on: ["0"] })).toThrow(/no GPUs/);
  });
});

function replicaIn(shown: Shown): Extract<Shown, { kind: "replica" }> {
  if (shown.kind !== "replica") throw new Error("that is no replica");
  return shown;
}

describe("what is known of a replica", () => {
  const recipe = makeRecipe({
    engine: "vllm",
    mounts: [{ source: "/srv/models", target: "/models", readOnly: true }],
    profiles: [makeProfile(1, { args: ["--hf-token", "abc"], env: { HF_TOKEN: "hf_x", SEED: "1" } })],
  });

  it("is what it runs, with secrets hidden, and how its start went", async () => {
    const rig = await rigWith({ recipes: [recipe], gpus: makeGpus(1), settings: { logDir: "/var/log/aim" } });
    rig.request("tiny", { serveMs: 15_000 });
    await rig.clock.advance(20_000);
    const { replica, details } = replicaIn(rig.plane.inspector.show("tiny-1"));
    expect(replica).toMatchObject({ name: "tiny-1", state: "ready" });
    expect(details).toMatchObject({
      image: "sim:latest",
      imageId: "sha256:of sim:latest",
      env: { HF_TOKEN: "***", SEED: "1", HIP_VISIBLE_DEVICES: "0" },
      mounts: ["/srv/models:/models:ro"],
      logFile: "/var/log/aim/tiny-1.log",
    });
    expect(details.argv.join(" ")).toContain("--hf-token ***");
    expect(JSON.stringify(details)).not.toMatch(/abc|hf_x/);
    const seconds = details.phases.reduce((sum, phase) => sum + phase.seconds, 0);
    expect(seconds).toBeGreaterThan(0.5);
  });

  it("says where it listens, so that its command can be copied", async () => {
    const profiles = [makeProfile(0, { env: { PORT: "{port}" } })];
    const recipe = makeRecipe({ engine: "openai", command: ["serve", "{host}:{port}"], profiles });
    const rig = await rigWith({ recipes: [recipe] });
    await serve(rig, "tiny");
    const { details } = replicaIn(rig.plane.inspector.show("tiny-1"));
    expect(details).toMatchObject({ argv: ["serve", `0.0.0.0:${ENGINE_PORT}`], env: { PORT: String(ENGINE_PORT) } });
  });

  it.each([
    ["docker", "own", undefined, `0.0.0.0:${ENGINE_PORT}`],
    ["docker", "own", "http://127.0.0.1:32768", `0.0.0.0:${ENGINE_PORT}`],
    ["docker", "host", "http://127.0.0.1:18001", "127.0.0.1:18001"],
    ["docker", "host", undefined, "{host}:{port}"],
    ["process", "own", "http://127.0.0.1:41234", "127.0.0.1:41234"],
    ["process", "own", undefined, "{host}:{port}"],
  ] as const)("knows where one on %s with network %s at %s listens: %s", (runtime, network, at, expected) => {
    const address = at === undefined ? undefined : new URL(at);
    expect(fillIn("{host}:{port}", { runtime, network, address })).toBe(expected);
  });

  it("is found by the name of its container", async () => {
    const rig = await rigWith({ recipes: [makeRecipe()] });
    await serve(rig, "tiny");
    expect(replicaIn(rig.plane.inspector.show("test-tiny-1")).replica.name).toBe("tiny-1");
  });

  it("claims nothing of one that runs from a recipe that has changed since", async () => {
    const rig = await rigWith({ recipes: [recipe], gpus: makeGpus(1) });
    rig.request("tiny", { serveMs: 600_000 });
    await rig.clock.advance(5_000);
    rig.boot([{ ...recipe, hash: "another" }]);
    rig.request("tiny", { serveMs: 600_000 });
    await rig.clock.advance(5_000);
    expect(replicaIn(rig.plane.inspector.show("tiny-1")).details).toMatchObject({ argv: [], env: {}, mounts: [] });
  });
});

describe("what is known of a model", () => {
  it("is every recipe, with the command line of each profile", async () => {
    const recipes = [
      makeRecipe({ engine: "vllm", profiles: [makeProfile(1), makeProfile(4, { isDefault: false })] }),
      makeRecipe({ id: "local", model: "tiny", runtime: "process", aliases: ["small"] }),
    ];
    const rig = await rigWith({ recipes, gpus: makeGpus(4) });
    const shown = rig.plane.inspector.show("small");
    expect(shown).toMatchObject({
      kind: "model",
      model: { model: "tiny" },
      recipes: [
        { id: "tiny", image: "sim:latest", runtime: "docker" },
        { id: "local", runtime: "process" },
      ],
    });
    if (shown.kind !== "model") throw new Error("that is no model");
    expect(shown.recipes[0]?.argv["4_gpu"]?.join(" ")).toContain("--tensor-parallel-size 4");
    expect(shown.recipes[1]).not.toHaveProperty("image");
  });

  it("is one recipe where that is named, and an error that helps where nothing is", async () => {
    const recipes = ["one", "two"].map((id) => makeRecipe({ id, model: "org/big", gpus: 1 }));
    const rig = await rigWith({ recipes, gpus: makeGpus(1) });
    expect(rig.plane.inspector.show("two")).toMatchObject({ model: { model: "org/big" }, recipes: [{ id: "two" }] });
    expect(() => rig.plane.inspector.show("org/bik")).toThrow(/did you mean org\/big\?/);
  });
});

describe("what replicas use", () => {
  it("is measured for each that serves, its GPUs' memory included", async () => {
    const rig = await rigWith({ recipes: [makeRecipe({ gpus: 2 })], gpus: makeGpus(2), memory: true });
    expect(await within(rig, 100, rig.plane.inspector.stats(never))).toEqual([]);
    const busy = rig.request("tiny", { serveMs: 60_000 });
    await rig.clock.advance(20_000);
    expect(busy.outcome).toBe("serving");
    const [measured] = await within(rig, 100, rig.plane.inspector.stats(never));
    expect(measured).toMatchObject({
      replica: "tiny-1",
      memoryBytes: 64 * 2 ** 20,
      gpuMemoryTotalBytes: 2 * 192 * GIB,
      gpuMemoryBytes: 2 * 192 * GIB * 0.9,
      inFlight: 1,
      time: "2026-01-01T00:00:20.200Z",
    });
    expect(measured).not.toHaveProperty("problem");
  });

  it("keeps the others' figures when one cannot be measured", async () => {
    const rig = await rigWith({ recipes: [makeRecipe()] });
    await serve(rig, "tiny");
    rig.world.outage = new Error("Docker is gone");
    const [measured] = await within(rig, 100, rig.plane.inspector.stats(never));
    expect(measured).toMatchObject({ replica: "tiny-1", problem: "Docker is gone", gpuMemoryTotalBytes: 0 });
    expect(measured).not.toHaveProperty("gpuMemoryBytes");
  });

  it("waits no longer than 10 s for a runtime, and not at all for a client that left", async () => {
    const rig = await rigWith({ recipes: [makeRecipe()] });
    await serve(rig, "tiny");
    rig.world.isMute = true;
    const [measured] = await within(rig, 10_000, rig.plane.inspector.stats(never));
    expect(measured).toMatchObject({ problem: "the docker runtime did not answer within 10 s" });
    const left = rig.plane.inspector.stats(AbortSignal.abort(new Error("the client left")));
    await expect(left).rejects.toThrow("the client left");
  });
});

describe("the doctor's round", () => {
  const fine = { name: "docker", status: "ok", found: "Docker 29" } as const;

  it("is what the runtimes find", async () => {
    const rig = await rigWith({ recipes: [makeRecipe()] });
    rig.world.checks = [fine];
    expect(await within(rig, 100, rig.plane.inspector.examine(never))).toEqual([fine]);
  });

  it("tells of a runtime that cannot be examined, or not in time", async () => {
    const rig = await rigWith({ recipes: [makeRecipe()] });
    rig.world.outage = new Error("Docker is gone");
    const broken = await within(rig, 100, rig.plane.inspector.examine(never));
    expect(broken).toMatchObject([{ status: "problem", found: "could not be examined: Docker is gone" }]);
    rig.world.outage = undefined;
    rig.world.isMute = true;
    const late = await within(rig, 30_000, rig.plane.inspector.examine(never));
    expect(late).toMatchObject([{ status: "problem", found: expect.stringContaining("no result within 30 s") }]);
  });

  it("ends with its client", async () => {
    const rig = await rigWith({ recipes: [makeRecipe()] });
    const left = rig.plane.inspector.examine(AbortSignal.abort(new Error("the client left")));
    await expect(left).rejects.toThrow("the client left");
  });
});

describe("the metrics of GPUs", () => {
  it("are their memory and whether they are quarantined", async () => {
    const rig = await rigWith({ recipes: [makeRecipe({ gpus: 1 })], gpus: makeGpus(1), memory: true });
    await rig.clock.advance(10_000);
    rig.world.pace.releaseMs = Infinity;
    await serve(rig, "tiny");
    const metrics = createMetrics();
    const text = async () => {
      rig.plane.status.measure(metrics);
      return metrics.registry.metrics();
    };
    const gpu = 'gpu="0000:01:00.0"';
    expect(await text()).toContain(`aim_gpu_memory_bytes{${gpu},kind="total"} ${192 * GIB}`);
    expect(await text()).toContain(`aim_gpu_memory_bytes{${gpu},kind="baseline"}`);
    expect(await text()).toContain(`aim_gpu_quarantined{${gpu}} 0`);
    await rig.clock.advance(600_000);
    expect(await text()).toContain(`aim_gpu_quarantined{${gpu}} 1`);
    expect(await text()).toContain(`aim_gpu_memory_bytes{${gpu},kind="used"} ${96 * GIB}`);
  });

  it("leave out what cannot be read", async () => {
    const rig = await rigWith({ recipes: [makeRecipe({ gpus: 1 })], gpus: makeGpus(1) });
    const metrics = createMetrics();
    rig.plane.status.measure(metrics);
    expect(await metrics.registry.metrics()).not.toContain('kind="used"');
  });
});
