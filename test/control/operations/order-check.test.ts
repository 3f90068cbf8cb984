import { describe, expect, it } from "vitest";
import type { LaunchWish } from "../../../src/control/operations/order-check.ts";
import { makeGpus, makeProfile, makeRecipe } from "../../support/make.ts";
import { Rig } from "../../support/make-plane.ts";

const never = new AbortController().signal;

describe("a launch is checked before anything is done about it", () => {
  const recipes = [
    makeRecipe({ engine: "vllm", aliases: ["small"], gpus: 2 }),
    makeRecipe({ id: "other", engine: "vllm" }),
    makeRecipe({
      id: "shared",
      engine: "vllm",
      profiles: [makeProfile(1, { gpuFraction: 0.4 }), makeProfile(2, { isDefault: false })],
    }),
    makeRecipe({ id: "sleepy", engine: "vllm", sleep: { afterMs: 60_000, level: 1 } }),
  ];

  it.each<readonly [string, Partial<LaunchWish>, string, RegExp]>([
    ["a recipe of another model", { recipe: "other" }, "recipe", /other is no recipe of tiny; there are tiny/],
    ["a precision that is none", { precision: "fp3" }, "precision", /one of fp16, bf16/],
    ["an engine that is none", { engine: "vlm" }, "engine", /one of vllm/],
    ["too many replicas", { replicas: 65 }, "replicas", /from 1 to 64/],
    ["half a replica", { replicas: 1.5 }, "replicas", /whole number/],
    ["one name for two", { replicas: 2, name: "mine" }, "name", /cannot all be called mine/],
    ["the same GPUs for two", { replicas: 2, on: ["0", "1"] }, "on", /one at a time/],
    ["a name with a path in it", { name: "../up" }, "name", /40 lower-case letters/],
    ["a name that is too long", { name: "x".repeat(41) }, "name", /40 lower-case letters/],
    ["a GPU that is not there", { on: ["0", "4"] }, "on", /no GPU 4; there are 0 \(0000:01:00.0\), 1/],
    ["one GPU twice", { on: ["0", "0000:01:00.0"] }, "on", /named twice/],
    ["no GPU at all", { on: [] }, "on", /at least one/],
    ["more GPUs than are named", { gpus: 4, on: ["0", "1"] }, "on", /2 GPUs are named, but 4 GPUs are asked for/],
    ["a flag that the gateway sets", { flags: ["--port", "1"] }, "flags", /--port/],
    ["an idle time for what is pinned", { pinned: true, keepAliveMs: 60_000 }, "keepAlive", /leave keepAlive out/],
    [
      "more of a GPU than its share",
      { model: "shared", flags: ["--gpu-memory-utilization", "0.9"] },
      "flags",
      /recipe shared, profile 1_gpu: --gpu-memory-utilization 0.9 is more than the share of 0.4/,
    ],
    [
      "to keep what is to sleep from sleeping",
      { model: "sleepy", flags: ["--no-enable-sleep-mode"] },
      "flags",
      /recipe sleepy, profile 0_gpu: the flags switch sleep off/,
    ],
    ["code to be run", { flags: ["--trust-remote-code"] }, "flags", /--trust-remote-code/],
  ])("refuses %s", async (_, wish, param, message) => {
    const rig = new Rig({ recipes, gpus: makeGpus(4) });
    await rig.clock.advance(100);
    const refused = rig.plane.operator.launch({ model: "tiny", ...wish }, never);
    await expect(refused).rejects.toMatchObject({ code: "invalid_value", param });
    await expect(refused).rejects.toThrow(message);
    await rig.clock.advance(1_000);
    expect(rig.world.starts).toEqual([]);
  });

  it("does not claim that a GPU is not there before it has looked", async () => {
    const rig = new Rig({ recipes, gpus: makeGpus(4) });
    const early = rig.plane.operator.launch({ model: "tiny", on: ["0", "1"] }, never);
    await expect(early).rejects.toMatchObject({ code: "runtime_unavailable", retryAfterMs: 2_000 });
    await rig.clock.advance(100);
  });

  it("says which model was meant", async () => {
    const rig = new Rig({ recipes });
    const refused = rig.plane.operator.launch({ model: "tinny" }, never);
    await expect(refused).rejects.toThrow(/did you mean tiny\?/);
    await expect(refused).rejects.toMatchObject({ code: "model_not_found", param: "model" });
  });

  it("takes any use of memory where another profile is asked for, which has its GPUs alone", async () => {
    const rig = new Rig({ recipes, gpus: makeGpus(2) });
    await rig.clock.advance(100);
    const wish = { model: "shared", gpus: 2, flags: ["--gpu-memory-utilization", "0.9"] };
    const [outcome] = await Promise.all([rig.plane.operator.launch(wish, never), rig.clock.advance(100)]);
    expect(outcome.replica.profile).toBe("2_gpu");
  });

  it("takes an alias, an address in capitals, and as many GPUs as are named", async () => {
    const gpus = makeGpus(12);
    const rig = new Rig({ recipes, gpus });
    await rig.clock.advance(100);
    const on = ["0000:0A:00.0", "11"];
    const [outcome] = await Promise.all([
      rig.plane.operator.launch({ model: "small", on }, never),
      rig.clock.advance(100),
    ]);
    expect(outcome.replica.gpus.toSorted()).toEqual([gpus[9]?.id, gpus[11]?.id]);
  });
});
