// From a recipe to what a driver starts: golden command lines, environments and labels.
import { describe, expect, it } from "vitest";
import { toLaunchSpec, type LaunchInput } from "../../src/catalog/launch-spec.ts";
import { recipeOf, type Reading } from "./read.ts";

const GIB = 2 ** 30;
/** What a container is told that is to see no GPU of another vendor, and has none. */
const NO_GPU = { NVIDIA_VISIBLE_DEVICES: "void" };
const defaults = {
  images: { vllm: "vllm/vllm-openai-rocm:v1", "llama.cpp": "llama:1", sim: "aim-sim:1" },
  startTimeoutMs: 1_800_000,
  stopGraceMs: 60_000,
  shmBytes: 16 * GIB,
  pull: "missing" as const,
  env: {},
  self: ["node", "main.ts"],
};

/** A launch of the default profile, on GPUs as many as it has. */
function launch(text: string, changes: Partial<LaunchInput> = {}, reading: Reading = {}) {
  const recipe = recipeOf(text, reading);
  const profile = recipe.profiles.find((one) => one.isDefault);
  if (profile === undefined) throw new Error("a recipe always has a default profile");
  const gpus = Array.from({ length: profile.gpus }, (_, index) => `0000:0${index}:00.0`);
  const runtime = recipe.runtime ?? "docker";
  return toLaunchSpec({
    replica: "r-1",
    installation: "here",
    recipe,
    profile,
    runtime,
    gpus,
    defaults,
    ...changes,
  });
}

const vllm = (rest: string) => `model: acme/m\nengine: vllm\n${rest}`;

describe("a whole launch spec", () => {
  it("of a model on four GPUs in a container", () => {
    const text = vllm(
      "hardware: MI300X\nprecision: bf16\nargs: { --max-model-len: 8192 }\nenv: { VLLM_ROCM_USE_AITER: 1 }\nprofiles: { 4_gpu: {} }",
    );
    expect(launch(text)).toEqual({
      replica: "r-1",
      runtime: "docker",
      image: "vllm/vllm-openai-rocm:v1",
      argv: (
        "vllm serve acme/m --host {host} --port {port} --served-model-name acme/m " +
        "--tensor-parallel-size 4 --dtype bfloat16 --max-model-len 8192"
      ).split(" "),
      env: {
        VLLM_HTTP_TIMEOUT_KEEP_ALIVE: "120",
        NVIDIA_VISIBLE_DEVICES: "void",
        HIP_VISIBLE_DEVICES: "0,1,2,3",
        VLLM_ROCM_USE_AITER: "1",
      },
      gpus: ["0000:00:00.0", "0000:01:00.0", "0000:02:00.0", "0000:03:00.0"],
      pull: "missing",
      mounts: [],
      capabilities: [],
      network: "own",
      resources: { shmBytes: 16 * GIB },
      labels: {
        "aim-engine.installation": "here",
        "aim-engine.schema": "1",
        "aim-engine.replica": "r-1",
        "aim-engine.model": "acme/m",
        "aim-engine.recipe": "test",
        "aim-engine.recipe-hash": recipeOf(text).hash,
        "aim-engine.profile": "4_gpu",
        "aim-engine.gpus": "0000:00:00.0,0000:01:00.0,0000:02:00.0,0000:03:00.0",
      },
      readiness: { servedModel: "acme/m", warmUp: true, timeoutMs: 1_800_000 },
      stopGraceMs: 60_000,
    });
  });
});

describe("the command line", () => {
  it.each([
    [
      "vllm on one GPU",
      vllm("profiles: { 1_gpu: {} }"),
      "vllm serve acme/m --host {host} --port {port} --served-model-name acme/m",
    ],
    [
      "vllm with fp8 weights, which say their own dtype",
      vllm("precision: fp8\nprofiles: { 1_gpu: {} }"),
      "vllm serve acme/m --host {host} --port {port} --served-model-name acme/m",
    ],
    [
      "vllm with its own dtype",
      vllm("precision: fp16\nargs: { --dtype: auto }\nprofiles: { 1_gpu: {} }"),
      "vllm serve acme/m --host {host} --port {port} --served-model-name acme/m --dtype auto",
    ],
    [
      "vllm with fp16",
      vllm("precision: fp16\nprofiles: { 1_gpu: {} }"),
      "vllm serve acme/m --host {host} --port {port} --served-model-name acme/m --dtype float16",
    ],
    [
      "vllm whose recipe sets the parallelism",
      vllm("profiles: { 2_gpu: { args: { -tp: 2 } } }"),
      "vllm serve acme/m --host {host} --port {port} --served-model-name acme/m -tp 2",
    ],
    [
      "vllm in pipelines",
      vllm("profiles: { 8_gpu: { args: [--pipeline-parallel-size=2] } }"),
      "vllm serve acme/m --host {host} --port {port} --served-model-name acme/m --tensor-parallel-size 4 --pipeline-parallel-size=2",
    ],
    [
      "vllm in copies",
      vllm("profiles: { 8_gpu: { args: { --data-parallel-size: 8 } } }"),
      "vllm serve acme/m --host {host} --port {port} --served-model-name acme/m --data-parallel-size 8",
    ],
    [
      "vllm from a local folder",
      vllm("command: [vllm, serve, /models/m]\nprofiles: { 1_gpu: {} }"),
      "vllm serve /models/m --host {host} --port {port} --served-model-name acme/m",
    ],
    [
      "sglang",
      "model: acme/m\nengine: sglang\nimage: s:1\nprecision: bf16\nprofiles: { 2_gpu: {} }",
      "python3 -m sglang.launch_server --model-path acme/m --host {host} --port {port} --served-model-name acme/m --tp-size 2 --dtype bfloat16",
    ],
    [
      "llama.cpp",
      "model: acme/m\nengine: llama.cpp\nprecision: bf16\nargs: { -hf: 'acme/m-GGUF:Q4_K_M' }\nprofiles: { 0_gpu: {} }",
      "llama-server --host {host} --port {port} --alias acme/m -hf acme/m-GGUF:Q4_K_M",
    ],
    [
      "the sim in a container",
      "model: acme/m\nengine: sim\nruntime: docker\nprofiles: { 0_gpu: {} }",
      "vllm serve acme/m --host {host} --port {port} --served-model-name acme/m",
    ],
    [
      "the sim as a process",
      "model: acme/m\nengine: sim\nruntime: process\nargs: { --sim-load-seconds: 6 }\nprofiles: { 0_gpu: {} }",
      "node main.ts sim serve acme/m --host {host} --port {port} --served-model-name acme/m --sim-load-seconds 6",
    ],
    [
      "any other server",
      'model: acme/m\nengine: openai\nimage: o:1\ncommand: [serve, "{model}", "--at={host}:{port}"]\nargs: [--name, "{model}"]\nprofiles: { 1_gpu: {} }',
      "serve acme/m --at={host}:{port} --name acme/m",
    ],
  ])("of %s", (_, text, expected) => {
    expect(launch(text).argv.join(" ")).toBe(expected);
  });
});

describe("the environment", () => {
  it("keeps the recipe's own keep-alive", () => {
    const { env } = launch(vllm("env: { VLLM_HTTP_TIMEOUT_KEEP_ALIVE: 7 }\nprofiles: { 0_gpu: {} }"));
    expect(env).toEqual({ ...NO_GPU, VLLM_HTTP_TIMEOUT_KEEP_ALIVE: "7" });
  });

  it("has what config.yaml gives every engine, below what its recipe says", () => {
    const defaults = {
      images: { vllm: "v:1" },
      startTimeoutMs: 1,
      stopGraceMs: 1,
      shmBytes: 1,
      pull: "missing" as const,
      self: [],
      env: { HF_TOKEN: "t", A: "config" },
    };
    const { env } = launch(vllm("env: { A: recipe }\nprofiles: { 0_gpu: {} }"), { defaults });
    expect(env).toMatchObject({ HF_TOKEN: "t", A: "recipe" });
  });

  it("fills in the model and leaves the port to the driver", () => {
    const { env } = launch(
      'model: acme/m\nengine: openai\nimage: o:1\ncommand: [serve]\nenv: { MODEL: "{model}", PORT: "{port}" }\nprofiles: { 0_gpu: {} }',
    );
    expect(env).toEqual({ ...NO_GPU, MODEL: "acme/m", PORT: "{port}" });
  });

  it("names GPUs only where we pick them and number them anew", () => {
    expect(
      launch(vllm("image: v:1\nprofiles: { 2_gpu: {} }"), { runtime: "kubernetes", gpus: [] }).env,
    ).not.toHaveProperty("HIP_VISIBLE_DEVICES");
  });

  it.each(["amd", "none", "nvidia"] as const)(
    "numbers the GPUs of a container anew, but for NVIDIA's: %s",
    (vendor) => {
      const { env, gpuKind } = launch(vllm("profiles: { 2_gpu: {} }"), { gpuKind: { vendor, arch: "x" } });
      expect(env["HIP_VISIBLE_DEVICES"]).toBe(vendor === "nvidia" ? undefined : "0,1");
      expect(env["NVIDIA_VISIBLE_DEVICES"]).toBe(vendor === "nvidia" ? undefined : "void");
      expect(Object.keys(env)).not.toContain("CUDA_VISIBLE_DEVICES");
      expect(gpuKind).toEqual({ vendor, arch: "x" });
    },
  );

  it("has no kind of GPU where there are no GPUs", () => {
    expect(launch(vllm("profiles: { 0_gpu: {} }"), { gpuKind: { vendor: "amd" } })).not.toHaveProperty("gpuKind");
  });

  it("refuses what would change a program on this machine, once the runtime is known to be process", () => {
    const text =
      "model: acme/m\nengine: llama.cpp\nimage: l:1\ncommand: [llama]\nenv: { LD_PRELOAD: /x.so }\nprofiles: { 0_gpu: {} }";
    expect(launch(text).env).toEqual({ ...NO_GPU, LD_PRELOAD: "/x.so" });
    expect(() => launch(text, { runtime: "process" })).toThrow("recipe test: a recipe cannot set LD_PRELOAD");
  });
});

describe("image, resources and readiness", () => {
  it("prefers the recipe's image, and a process has none", () => {
    expect(launch(vllm("image: mine:2\nprofiles: { 1_gpu: {} }")).image).toBe("mine:2");
    expect(launch(vllm("profiles: { 1_gpu: {} }"), { runtime: "process" })).not.toHaveProperty("image");
  });

  it("says what to do when there is no image", () => {
    const start = () => launch("model: acme/m\nengine: sglang\nprofiles: { 1_gpu: {} }");
    expect(start).toThrow(
      'recipe test has no image for the docker runtime; give it "image:", or set images.sglang in config.yaml',
    );
  });

  it("gives shared memory to GPU replicas only, unless the recipe says how much", () => {
    expect(launch(vllm("profiles: { 0_gpu: {} }")).resources).toEqual({});
    expect(launch(vllm("resources: { shm: 1g, cpus: 2 }\nprofiles: { 1_gpu: {} }")).resources).toEqual({
      shmBytes: GIB,
      cpus: 2,
    });
  });

  it("does not ask a server of unknown kind for a token, and takes the recipe's time to start", () => {
    const spec = launch(
      "model: acme/m\nengine: openai\nimage: o:1\ncommand: [serve, '{port}']\nstartTimeout: 1m\nprofiles: { 1_gpu: {} }",
    );
    expect(spec.readiness).toEqual({ servedModel: "acme/m", warmUp: false, timeoutMs: 60_000 });
  });
});

describe("what a recipe asks of its container", () => {
  const policy = { mounts: ["/srv"], capabilities: ["SYS_PTRACE"], hostNetwork: true };

  it("is passed on, and pulling by its recipe rather than by config.yaml", () => {
    const text =
      "mounts: [/srv/m:/m:ro]\ncapabilities: [SYS_PTRACE]\nnetwork: host\npull: never\nprofiles: { 1_gpu: {} }";
    expect(launch(vllm(text), {}, { policy })).toMatchObject({
      mounts: [{ source: "/srv/m", target: "/m", readOnly: true }],
      capabilities: ["SYS_PTRACE"],
      network: "host",
      pull: "never",
    });
  });

  it.each(["mounts: [/srv/m:/m]", "capabilities: [SYS_PTRACE]", "network: host"])(
    "%s is refused to a process, once the runtime is known to be one",
    (line) => {
      const start = () => launch(vllm(`${line}\nprofiles: { 1_gpu: {} }`), { runtime: "process" }, { policy });
      expect(start).toThrow("recipe test cannot run as a process: it asks for ");
    },
  );
});

describe("the image", () => {
  it("comes from the registry of config.yaml where it names none, whoever names it", () => {
    const registry = { defaults: { ...defaults, registry: "registry.example:5000" } };
    const imageOf = (line: string) => launch(vllm(`${line}\nprofiles: { 1_gpu: {} }`), registry).image;
    expect(imageOf("image: rocm/vllm:1")).toBe("registry.example:5000/rocm/vllm:1");
    expect(imageOf("image: ghcr.io/x/y:1")).toBe("ghcr.io/x/y:1");
    expect(imageOf("")).toBe("registry.example:5000/vllm/vllm-openai-rocm:v1");
  });
});

describe("the flags of a launch", () => {
  const text = vllm("args: { --max-model-len: 8192, --seed: 1 }\nprofiles: { 1_gpu: {} }");

  it("override those of the recipe, in any spelling, and the rest stays", () => {
    const { argv } = launch(text, { flags: ["--max_model_len=4096", "--enforce-eager"] });
    expect(argv.slice(-4)).toEqual(["--seed", "1", "--max_model_len=4096", "--enforce-eager"]);
  });

  it("decide the dtype as those of the recipe do", () => {
    const bf16 = vllm("precision: bf16\nprofiles: { 1_gpu: {} }");
    expect(launch(bf16, { flags: ["--dtype", "half"] }).argv.join(" ")).toMatch(/acme\/m --dtype half$/);
  });

  it("are a label, so that they survive a restart of the gateway", () => {
    const flags = ["--max-model-len", "4096"];
    expect(launch(text, { flags }).labels["aim-engine.flags"]).toBe('["--max-model-len","4096"]');
    expect(launch(text, { flags: [] }).labels).not.toHaveProperty("aim-engine.flags");
  });
});

describe("who wanted a replica, and how much of its GPUs it has", () => {
  const labelsOf = (text: string, changes: Partial<LaunchInput> = {}) => launch(vllm(text), changes).labels;

  it("are labels, so that they survive a restart of the gateway", () => {
    expect(labelsOf("profiles: { 1_gpu: { gpuFraction: 0.4 } }", { launched: true, pinned: true })).toMatchObject({
      "aim-engine.launched": "true",
      "aim-engine.pinned": "true",
      "aim-engine.share": "0.4",
    });
  });

  it("leave no trace where there is nothing to say", () => {
    const labels = labelsOf("profiles: { 1_gpu: {} }");
    for (const name of ["launched", "pinned", "share"]) expect(labels).not.toHaveProperty([`aim-engine.${name}`]);
  });
});

describe("the keep-alive of a launch", () => {
  it("is a label, so that it survives a restart of the gateway", () => {
    const label = (keepAliveMs: number) =>
      launch(vllm("profiles: { 1_gpu: {} }"), { keepAliveMs }).labels["aim-engine.keep-alive"];
    expect([label(90_000), label(0), label(Infinity)]).toEqual(["90000", "0", "forever"]);
  });
});
