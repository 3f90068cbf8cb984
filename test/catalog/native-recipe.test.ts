// Our own recipe format: what a file means, and what is refused.
import { describe, expect, it } from "vitest";
import { maxModelLenOf } from "../../src/catalog/recipe.ts";
import { recipeJsonSchema } from "../../src/catalog/recipe-schema.ts";
import { problemsOf, recipeOf } from "./read.ts";

const minimal = "model: acme/tiny\nengine: vllm\nprofiles:\n  1_gpu: {}\n";

describe("the context length", () => {
  it("is what the default profile gives its engine, and unknown otherwise", () => {
    expect(maxModelLenOf(recipeOf(`${minimal}args: { --max-model-len: 8192 }\n`))).toBe(8192);
    expect(maxModelLenOf(recipeOf(minimal))).toBeUndefined();
  });
});

describe("a recipe in our format", () => {
  it("takes its id from the file name and has modest defaults", () => {
    expect(recipeOf(minimal, "some/folder/tiny-bf16.yaml")).toMatchObject({
      id: "tiny-bf16",
      file: "some/folder/tiny-bf16.yaml",
      model: "acme/tiny",
      aliases: [],
      hardware: [],
      replicas: { min: 0, max: 1 },
      resources: {},
      profiles: [{ id: "1_gpu", gpus: 1, args: [], env: {}, isDefault: true }],
    });
  });

  it("leaves out what the file does not say", () => {
    const recipe = recipeOf(minimal);
    for (const key of [
      "runtime",
      "image",
      "command",
      "precision",
      "keepAliveMs",
      "startTimeoutMs",
      "maxInFlight",
      "balance",
      "timeouts",
    ])
      expect(recipe).not.toHaveProperty(key);
  });

  it("reads every field", () => {
    const recipe = recipeOf(
      `
id: full
model: acme/full
aliases: [full, full, acme/full, "other:latest"]
engine: openai
runtime: docker
image: ghcr.io/acme/server:1.2@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
command: [server, --listen, "{host}:{port}", --name, "{model}"]
hardware: [MI300X, MI325X]
gpuMemory: 128g
pull: always
mounts: ["/srv//models/:/models/:ro", "scratch:/tmp/scratch"]
capabilities: [SYS_PTRACE, CAP_SYS_PTRACE]
network: host
precision: FP8-KV
env: { A: 1, B: true, C: text }
profiles:
  2_gpu: { env: { A: two } }
keepAlive: 1h30m
replicas: { min: 1, max: 3 }
resources: { memory: 64g, memorySwap: 65g, shm: 512m, cpus: 1.5 }
startTimeout: 20m
maxInFlight: 16
balance: session
timeouts: { connect: 5s, firstByte: 1h, idle: 10m, total: forever }
`,
      { policy: { mounts: ["/srv/models:ro", "scratch"], capabilities: ["SYS_PTRACE"], hostNetwork: true } },
    );
    expect(recipe).toMatchObject({
      id: "full",
      aliases: ["full", "other:latest"],
      command: ["server", "--listen", "{host}:{port}", "--name", "{model}"],
      hardware: ["MI300X", "MI325X"],
      gpuMemoryBytes: 128 * 2 ** 30,
      pull: "always",
      mounts: [
        { source: "/srv/models", target: "/models", readOnly: true },
        { source: "scratch", target: "/tmp/scratch", readOnly: false },
      ],
      capabilities: ["SYS_PTRACE"],
      network: "host",
      precision: "fp8",
      profiles: [{ env: { A: "two", B: "true", C: "text" } }],
      keepAliveMs: 5_400_000,
      replicas: { min: 1, max: 3 },
      resources: { memoryBytes: 64 * 2 ** 30, memorySwapBytes: 65 * 2 ** 30, shmBytes: 2 ** 29, cpus: 1.5 },
      startTimeoutMs: 1_200_000,
      maxInFlight: 16,
      balance: "session",
      timeouts: {
        connectTimeoutMs: 5_000,
        firstByteTimeoutMs: 3_600_000,
        idleTimeoutMs: 600_000,
        totalTimeoutMs: Infinity,
      },
    });
  });

  it("leaves those limits of a request to the configuration that it does not set itself", () => {
    expect(recipeOf(`${minimal}timeouts: { total: 2h }\n`).timeouts).toEqual({ totalTimeoutMs: 7_200_000 });
  });

  it("accepts ttl for keepAlive, and forever", () => {
    expect(recipeOf(`${minimal}ttl: forever\n`).keepAliveMs).toBe(Infinity);
    expect(recipeOf(`${minimal}keepAlive: "0"\n`).keepAliveMs).toBe(0);
  });

  it("raises the maximum of replicas with the minimum", () => {
    expect(recipeOf(`${minimal}replicas: { min: 2 }\n`).replicas).toEqual({ min: 2, max: 2 });
  });

  it("reads how much one replica should have to do, and what share of its GPUs a profile has", () => {
    const text = "model: m\nengine: vllm\nreplicas: { max: 3, target: 24 }\nprofiles: { 1_gpu: { gpuFraction: 0.4 } }";
    expect(recipeOf(text)).toMatchObject({
      replicas: { min: 0, max: 3, target: 24 },
      profiles: [{ gpuFraction: 0.4 }],
    });
  });

  it("sorts profiles by GPU count and takes the smallest for the default", () => {
    const { profiles } = recipeOf("model: m\nengine: vllm\nprofiles: { 8_gpu: {}, 16_gpu: {}, 2_gpu: {} }");
    expect(profiles.map((profile) => [profile.id, profile.isDefault])).toEqual([
      ["2_gpu", true],
      ["8_gpu", false],
      ["16_gpu", false],
    ]);
  });

  it("takes the profile that says so for the default", () => {
    const { profiles } = recipeOf("model: m\nengine: vllm\nprofiles: { 1_gpu: {}, 4_gpu: { default: true } }");
    expect(profiles.find((profile) => profile.isDefault)?.id).toBe("4_gpu");
  });
});

describe("args", () => {
  const argsOf = (args: string, profileArgs = "{}") =>
    recipeOf(`model: m\nengine: vllm\nargs: ${args}\nprofiles: { 1_gpu: { args: ${profileArgs} } }`).profiles[0]?.args;

  it.each([
    ["{ --max-model-len: 8192 }", ["--max-model-len", "8192"]],
    ["{ max-model-len: 8192 }", ["--max-model-len", "8192"]],
    ["{ --enable-expert-parallel: true, --no-thing: false }", ["--enable-expert-parallel"]],
    ["{ --lora-modules: [a, b, 3] }", ["--lora-modules", "a", "b", "3"]],
    ["{ --seed: -1, --rate: 0.5 }", ["--seed", "-1", "--rate", "0.5"]],
    ["{ --limit: '{\"image\": 2}' }", ["--limit", '{"image": 2}']],
    ["[--max-model-len, '8192', --flag=x]", ["--max-model-len", "8192", "--flag=x"]],
    ["[--lora, a, --lora, b]", ["--lora", "a", "--lora", "b"]],
  ])("reads %s", (args, expected) => {
    expect(argsOf(args)).toEqual(expected);
  });

  it.each([
    ["a flag of the profile", "{ --a: 1, --b: 2 }", "{ --a: 3 }", ["--b", "2", "--a", "3"]],
    ["another spelling of it", "{ --max_len: 1 }", "[--max-len=3]", ["--max-len=3"]],
    ["a flag the profile switches off", "{ --eager: true, --b: 2 }", "{ --eager: false }", ["--b", "2"]],
  ])("lets %s override the recipe's", (_, recipe, profile, expected) => {
    expect(argsOf(recipe, profile)).toEqual(expected);
  });
});

describe("what cannot be right is refused", () => {
  const vllm = (rest: string) => `model: m\nengine: vllm\n${rest}\n`;
  it.each([
    [
      "a fixed port",
      vllm("args: { --port: 8000 }\nprofiles: { 1_gpu: {} }"),
      "--port is not the recipe's to set: the gateway decides where a replica listens",
    ],
    [
      "a fixed port in a list",
      vllm("args: [--port=8000]\nprofiles: { 1_gpu: {} }"),
      "--port is not the recipe's to set",
    ],
    [
      "another served name",
      vllm("profiles: { 1_gpu: { args: { served_model_name: x } } }"),
      'other names go into "aliases"',
    ],
    ["a key for the backend", vllm("args: { --api-key: x }\nprofiles: { 1_gpu: {} }"), "it checks the keys"],
    ["a model flag", vllm("args: { --model: x }\nprofiles: { 1_gpu: {} }"), 'the recipe\'s "model" says it'],
    [
      "a flag inside a value",
      vllm('args: { --a: "--trust-remote-code" }\nprofiles: { 1_gpu: {} }'),
      '"--trust-remote-code" would be read as another flag',
    ],
    ["words before any flag", vllm("args: [other-model]\nprofiles: { 1_gpu: {} }"), "expected a flag first"],
    ["a flag twice", vllm("args: { max-len: 1, --max_len: 2 }\nprofiles: { 1_gpu: {} }"), "given twice"],
    [
      "tensor parallelism other than the GPUs",
      vllm("profiles: { 4_gpu: { args: { -tp: 2 } } }"),
      "the parallel sizes ask for 2 GPUs, and this profile has 4",
    ],
    [
      "pipelines that do not divide the GPUs",
      vllm("profiles: { 4_gpu: { args: { --pipeline-parallel-size: 3 } } }"),
      "take a multiple of 3 GPUs",
    ],
    [
      "a size that is no number",
      vllm("profiles: { 4_gpu: { args: { --tensor-parallel-size: all } } }"),
      "no whole number of GPUs",
    ],
    [
      "a model that is a flag",
      "model: --trust-remote-code\nengine: vllm\nprofiles: { 1_gpu: {} }",
      'not beginning with "-"',
    ],
    ["a model with a space", "model: a b\nengine: vllm\nprofiles: { 1_gpu: {} }", "expected a model name"],
    [
      "a control character",
      'model: "a\\u0007b"\nengine: vllm\nprofiles: { 1_gpu: {} }',
      "control characters are not allowed",
    ],
    ["a line break in an argument", vllm('args: { --a: "x\\ny" }\nprofiles: { 1_gpu: {} }'), "args.--a: line breaks"],
    ["an id with capitals", `id: Big\n${minimal}`, "expected up to 40 lower-case letters"],
    ["no profile", vllm("profiles: {}"), "expected at least one profile"],
    ["a profile of no count", vllm("profiles: { big: {} }"), 'expected a GPU count such as "1_gpu"'],
    [
      "two defaults",
      vllm("profiles: { 1_gpu: { default: true }, 2_gpu: { default: true } }"),
      "1_gpu is the default already",
    ],
    ["both names of the keep-alive", `${minimal}keepAlive: 5m\nttl: 5m`, "give one of them"],
    ["a number for a duration", `${minimal}keepAlive: 300`, 'expected a duration such as "90s"'],
    ["a start without end", `${minimal}startTimeout: forever`, "every wait is bounded"],
    ["a start without time", `${minimal}startTimeout: 0s`, "every wait is bounded"],
    ["no memory at all", `${minimal}resources: { memory: 0m }`, "expected a size"],
    ["less swap than memory", `${minimal}resources: { memory: 2g, memorySwap: 1g }`, "at least as much"],
    ["swap without memory", `${minimal}resources: { memorySwap: 1g }`, "it needs a memory"],
    ["more at least than at most", `${minimal}replicas: { min: 3, max: 2 }`, "min is greater than max"],
    ["no time to answer", `${minimal}timeouts: { firstByte: 0s }`, "timeouts.firstByte: expected a time"],
    ["a limit of something else", `${minimal}timeouts: { read: 5s }`, "timeouts.read: unknown key"],
    ["no way to balance", `${minimal}balance: random`, "expected one of predicted-ttft, least-in-flight"],
    ["half a request", `${minimal}maxInFlight: 0.5`, "expected a whole number"],
    ["nothing to do", `${minimal}replicas: { target: 0 }`, "expected a whole number, 1 or more"],
    [
      "a number with too many digits",
      vllm("args: { --seed: 12345678901234567890 }\nprofiles: { 1_gpu: {} }"),
      "put it in quotes",
    ],
    [
      "openai without a command",
      "model: m\nengine: openai\nprofiles: { 0_gpu: {} }",
      '"command" must say how to start it',
    ],
    [
      "a command that knows no port",
      "model: m\nengine: openai\ncommand: [serve]\nprofiles: { 0_gpu: {} }",
      "write {port} where the program takes it",
    ],
    [
      "an image for a process",
      `${minimal}runtime: process\nimage: a:b`,
      "the process runtime starts programs, not images",
    ],
    [
      "a choice of GPUs for the vendor's runtime",
      `${minimal}env: { NVIDIA_VISIBLE_DEVICES: all }`,
      "decided when it is started",
    ],
    ["a library for a process", `${minimal}runtime: process\nenv: { LD_AUDIT: x }`, "a recipe cannot set LD_AUDIT"],
    ["an image that is a flag", `${minimal}image: --privileged`, "expected an image"],
    [
      "NODE_OPTIONS for a process",
      `${minimal}runtime: process\nenv: { NODE_OPTIONS: x }`,
      "a recipe cannot set NODE_OPTIONS",
    ],
    [
      "files that Node writes for a process",
      `${minimal}runtime: process\nenv: { NODE_V8_COVERAGE: /etc }`,
      "a recipe cannot set NODE_V8_COVERAGE",
    ],
    [
      "a library that Node loads for a process",
      `${minimal}runtime: process\nenv: { OPENSSL_CONF: x }`,
      "a recipe cannot set OPENSSL_CONF",
    ],
    ["VLLM_PORT", `${minimal}env: { VLLM_PORT: 1 }`, "a recipe cannot set VLLM_PORT"],
    [
      "a choice of GPUs",
      vllm("profiles: { 1_gpu: { env: { HIP_VISIBLE_DEVICES: 0 } } }"),
      "decided when it is started",
    ],
    ["a variable with a strange name", `${minimal}env: { "A=B": 1 }`, "expected the name of an environment variable"],
    ["a list", "- model: m", "expected a map with at least model, engine and profiles"],
  ])("%s", (_, text, expected) => {
    const problems = problemsOf(text);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(expected);
  });

  it("a file name that makes no id", () => {
    expect(problemsOf(minimal, "My Recipe.yaml")[0]).toContain('the file name makes no recipe id; write "id:"');
  });
});

describe("what is ours for one engine may be the recipe's for another", () => {
  it("lets llama.cpp name its model file", () => {
    const recipe = recipeOf("model: m\nengine: llama.cpp\nargs: { --model: /models/m.gguf }\nprofiles: { 0_gpu: {} }");
    expect(recipe.profiles[0]?.args).toEqual(["--model", "/models/m.gguf"]);
  });

  it("lets a container change its own PATH", () => {
    expect(recipeOf(`${minimal}runtime: docker\nenv: { PATH: /opt/bin }`).profiles[0]?.env).toEqual({
      PATH: "/opt/bin",
    });
  });

  it("lets an unknown server give its flags their own meaning", () => {
    const text =
      "model: m\nengine: openai\ncommand: [x, '{port}']\nargs: { -dp: 3, --host: y }\nprofiles: { 1_gpu: {} }";
    expect(recipeOf(text).profiles[0]?.args).toEqual(["-dp", "3", "--host", "y"]);
  });

  it("counts SGLang's attention data parallelism inside the tensor parallelism", () => {
    const text =
      "model: m\nengine: sglang\nargs: { --enable-dp-attention: true, --dp-size: 8, --tp-size: 8 }\nprofiles: { 8_gpu: {} }";
    expect(recipeOf(text).profiles[0]?.gpus).toBe(8);
  });
});

describe("the JSON schema", () => {
  it("describes the file as it is written, for editors", () => {
    expect(recipeJsonSchema()).toMatchObject({
      type: "object",
      required: ["model", "engine", "profiles"],
      additionalProperties: false,
      properties: { keepAlive: { type: "string" }, engine: { enum: expect.arrayContaining(["vllm"]) } },
    });
  });
});
