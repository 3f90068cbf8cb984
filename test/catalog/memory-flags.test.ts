// Shares of GPUs and sleep: the flags they become, and the flags that contradict them.
import { describe, expect, it } from "vitest";
import { engineArgv } from "../../src/catalog/engine-argv.ts";
import { toLaunchSpec, type LaunchInput } from "../../src/catalog/launch-spec.ts";
import { problemsOf, recipeOf } from "./read.ts";

const SHARED = "profiles: { 1_gpu: { gpuFraction: 0.4 } }";
const SLEEPY = "idle: [{ after: 5m, do: sleep }]\nprofiles: { 1_gpu: {} }";

function launch(text: string, engine = "vllm", changes: Partial<LaunchInput> = {}) {
  const recipe = recipeOf(`model: acme/m\nengine: ${engine}\n${text}`);
  const [profile] = recipe.profiles;
  if (profile === undefined) throw new Error("a recipe always has a profile");
  return toLaunchSpec({
    replica: "r-1",
    installation: "here",
    recipe,
    profile,
    runtime: recipe.runtime ?? "docker",
    gpus: ["0000:01:00.0"],
    defaults: {
      images: { vllm: "v:1" },
      startTimeoutMs: 1,
      stopGraceMs: 1,
      shmBytes: 1,
      pull: "missing",
      env: { VLLM_SERVER_DEV_MODE: "0" },
      self: ["main"],
    },
    ...changes,
  });
}

const flagsOf = (text: string, engine?: string, changes?: Partial<LaunchInput>) =>
  launch(text, engine, changes).argv.join(" ").split("acme/m").at(-1)?.trim();

describe("a share of a GPU", () => {
  it.each(["vllm", "sim"])("is told to %s", (engine) => {
    expect(flagsOf(SHARED, engine)).toBe("--gpu-memory-utilization 0.4");
  });

  it.each([
    ["less than the share", "args: { --gpu-memory-utilization: 0.35 }", "--gpu-memory-utilization 0.35"],
    ["the share itself", "args: [--gpu_memory_utilization=0.4]", "--gpu_memory_utilization=0.4"],
    ["by a beginning of the flag", "args: [--gpu-memory-util, '0.3']", "--gpu-memory-util 0.3"],
  ])("may be said by the recipe: %s", (_, args, expected) => {
    expect(flagsOf(`${args}\n${SHARED}`)).toBe(expected);
  });

  it("is not told to the profiles that have whole GPUs", () => {
    expect(flagsOf("profiles: { 1_gpu: {}, 2_gpu: { gpuFraction: 0.5 } }")).toBe("");
  });

  it.each([
    [
      "more than the share",
      "args: { --gpu-memory-utilization: 0.5 }",
      "--gpu-memory-utilization 0.5 is more than the share",
    ],
    ["no number", "args: { --gpu-memory-utilization: most }", "--gpu-memory-utilization most is more than the share"],
    ["what overrides it", "args: { --kv-cache-memory-bytes: 4G }", "--kv-cache-memory-bytes would be heeded instead"],
  ])("is contradicted by flags: %s", (_, args, expected) => {
    const problems = problemsOf(`model: m\nengine: vllm\n${args}\n${SHARED}`);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(`recipes/test.yaml:4:35: profiles.1_gpu.gpuFraction: ${expected}`);
  });

  it.each(["sglang", "llama.cpp"])("is refused to %s, which cannot keep to it", (engine) => {
    expect(problemsOf(`model: m\nengine: ${engine}\n${SHARED}`)).toEqual([
      `recipes/test.yaml:3:35: profiles.1_gpu.gpuFraction: the engine "${engine}" cannot be told to keep to a share of a GPU; vllm and sim can, others have the whole of it`,
    ]);
  });

  it("is refused to a profile without GPUs", () => {
    const [problem] = problemsOf("model: m\nengine: sim\nprofiles: { 0_gpu: { gpuFraction: 0.5 } }");
    expect(problem).toContain("3:35: profiles.0_gpu.gpuFraction: a profile without GPUs has no share of any");
  });

  it.each(["0", "1", "-0.5", "40%", "1.5"])("cannot be %s", (share) => {
    const problems = problemsOf(`model: m\nengine: vllm\nprofiles: { 1_gpu: { gpuFraction: ${share} } }`);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain("3:35: profiles.1_gpu.gpuFraction: expected a share of each GPU such as 0.4");
  });
});

describe("a recipe that sleeps", () => {
  it("has an engine that can, and the routes for it, whatever the defaults say", () => {
    expect(flagsOf(SLEEPY)).toBe("--enable-sleep-mode");
    expect(launch(SLEEPY).env).toMatchObject({ VLLM_SERVER_DEV_MODE: "1" });
  });

  it("is no different for the simulation", () => {
    const { argv, env } = launch(SLEEPY, "sim");
    expect([argv.at(-1), env["VLLM_SERVER_DEV_MODE"]]).toEqual(["--enable-sleep-mode", "1"]);
  });

  it("may say the flag itself", () => {
    expect(flagsOf(`args: { enable_sleep_mode: true }\n${SLEEPY}`)).toBe("--enable_sleep_mode");
  });

  it("is the only one with those routes", () => {
    const { argv, env } = launch("idle: [{ after: 1h, do: stop }]\nprofiles: { 1_gpu: {} }");
    expect(argv).not.toContain("--enable-sleep-mode");
    expect(env["VLLM_SERVER_DEV_MODE"]).toBe("0");
  });

  it("shows its flags wherever its command line is shown", () => {
    const recipe = recipeOf(`model: m\nengine: vllm\n${SLEEPY}`);
    const [profile] = recipe.profiles;
    if (profile === undefined) throw new Error("a recipe always has a profile");
    expect(engineArgv({ recipe, profile, runtime: "docker", self: [] })).toContain("--enable-sleep-mode");
  });
});

describe("the flags of a launch", () => {
  it("may lower a share, and override what the recipe says of it", () => {
    const text = `args: { --gpu-memory-utilization: 0.4 }\n${SHARED}`;
    expect(flagsOf(text, "vllm", { flags: ["--gpu-memory-utilization", "0.2"] })).toBe("--gpu-memory-utilization 0.2");
  });

  it.each([
    [SHARED, ["--gpu-memory-utilization", "0.9"]],
    [SHARED, ["--gpu-mem", "0.9"]],
    [SHARED, ["--kv-cache-memory-bytes=9000000000"]],
    [SLEEPY, ["--no-enable-sleep-mode"]],
    [SLEEPY, ["--no_enable_sleep"]],
  ])("with %j cannot be %j", (text, flags) => {
    expect(() => launch(text, "vllm", { flags })).toThrow(/^recipe test, profile 1_gpu: .*(share|switch sleep off)/);
  });
});
