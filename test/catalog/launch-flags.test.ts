// Flags of a launch: tuning goes through, whatever takes the engine over does not, however it is spelt.
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RECIPE_FLAGS } from "../../src/catalog/launch-flag-rules.ts";
import { checkLaunchFlags } from "../../src/catalog/launch-flags.ts";
import type { Engine } from "../../src/catalog/recipe.ts";

const HARMLESS = [
  ["--max-model-len", "8192"],
  ["--max_num_seqs=64"],
  ["--enforce-eager"],
  ["--enable-lora", "--max-lora-rank=16"],
  ["--lora-modules", "a=acme/a"],
  ["--gpu-memory-utilization", "0.5"],
  ["--seed", "-1"],
  ["--reasoning-parser", "qwen3"],
  ["--quantization=fp8"],
  ["--generation-config", "vllm"],
  ["--no-enable-prefix-caching"],
  ["--limit-mm-per-prompt.image=2"],
  ["--tool-call-parser", "hermes"],
  ["--api-server-count=2"],
  ["-O3"],
] as const;

describe("a launch may bring", () => {
  it.each(["vllm", "sglang", "sim"] as const)("tuning for %s", (engine) => {
    for (const flags of HARMLESS) expect(checkLaunchFlags(engine, flags)).toBeUndefined();
    expect(checkLaunchFlags(engine, HARMLESS.flat())).toBeUndefined();
  });

  it("knobs of the simulated engine, and tuning of llama.cpp in its short forms", () => {
    expect(checkLaunchFlags("sim", ["--sim-load-seconds", "1"])).toBeUndefined();
    expect(
      checkLaunchFlags("llama.cpp", ["-c", "8192", "-ngl", "99", "--jinja", "--chat-template", "chatml"]),
    ).toBeUndefined();
  });

  it("nothing at all, even for a program of unknown flags", () => {
    expect(checkLaunchFlags("openai", [])).toBeUndefined();
  });
});

describe("a launch may not bring", () => {
  it.each<[Engine, readonly string[], string]>([
    ["vllm", ["--port", "1"], "--port cannot come with a launch: the gateway decides where a replica listens"],
    ["vllm", ["--max-model-len", "1", "--host=x"], "--host cannot come with a launch"],
    ["vllm", ["--served_model_name", "x"], 'a replica serves the recipe\'s "model"'],
    ["vllm", ["--api-key", "x"], "replicas take requests from the gateway alone"],
    ["vllm", ["--trust-remote-code"], "--trust-remote-code cannot come with a launch: it can bring in code"],
    [
      "vllm",
      ["--trust-remote"],
      "--trust-remote may be short for --trust-remote-code, which cannot come with a launch",
    ],
    ["vllm", ["--tp=8"], "how a model is spread"],
    ["vllm", ["-tp", "8"], "-tp is short for another flag; give that one by its whole name"],
    ["vllm", ["-q", "fp8"], "-q is short for another flag"],
    ["vllm", ["--hf-overrides.auto_map.AutoModel", "evil/repo--x.Y"], "it can bring in code"],
    ["vllm", ["--revision=refs/pr/7"], "it can bring in code or another model"],
    ["vllm", ["--chat-template", "/proc/self/environ"], "read or write files"],
    ["vllm", ["--structured-outputs-config", '{"reasoning_parser_plugin":"/x.py"}'], "it can bring in code"],
    ["vllm", ["--structured_outputs_config.reasoning_parser_plugin=/x.py"], "it can bring in code"],
    ["vllm", ["--some-future-plugin=x"], "it can bring in code"],
    ["vllm", ["--some-future-file", "x"], "read or write files"],
    ["sglang", ["--model-path", "x"], '"model" says it'],
    ["sglang", ["--enable-dp-attention"], "how a model is spread"],
    ["sglang", ["--speculative-token-map", "evil/repo"], "another model"],
    ["sglang", ["--delete-ckpt-after-loading"], "read or write files"],
    ["sglang", ["--init-expert-location=/x.pt"], "read or write files"],
    ["llama.cpp", ["-m", "/x.gguf"], "another model"],
    ["llama.cpp", ["-hf", "evil/repo"], "another model"],
    ["llama.cpp", ["--spec-draft-hf", "evil/repo"], "another model"],
    ["llama.cpp", ["-a", "other"], 'a replica serves the recipe\'s "model"'],
    ["llama.cpp", ["--chat_template_file", "/etc/passwd"], "read or write files"],
    ["llama.cpp", ["--fim-qwen-7b-default"], "another model"],
    ["openai", ["--verbose"], "only its recipe can give"],
    ["vllm", ["model"], '"model" is no flag; begin with one'],
    ["vllm", ["--seed", "1", "--", "x"], '"--" is no flag'],
    ["vllm", ["--seed", "-"], '"-" is no flag'],
    ["vllm", ["--max len"], '"--max len" is no flag'],
    ["vllm", ["---port", "1"], '"---port" is no flag'],
    ["vllm", ["--_port", "1"], '"--_port" is no flag'],
    ["vllm", ["--seed", "1\n2"], "control characters"],
    ["vllm", ["--hf-token", "secret"], 'put it into "env" of config.yaml'],
  ])("%s %j", (engine, flags, expected) => {
    expect(checkLaunchFlags(engine, flags)).toContain(expected);
  });

  it("never repeats a value, which may be a secret", () => {
    expect(checkLaunchFlags("vllm", ["--api-key=hunter2"])).not.toContain("hunter2");
  });

  it("any spelling of a refused flag, wherever it stands", () => {
    const engine = fc.constantFrom<Engine[]>("vllm", "sglang", "sim");
    const spelling = engine.chain((one) =>
      fc
        .record({
          flag: fc.constantFrom(...Object.keys(RECIPE_FLAGS[one])),
          length: fc.integer({ min: 3, max: 40 }),
          underscores: fc.boolean(),
          tail: fc.constantFrom("", "=x", ".key=x", ".key+=x", ".key"),
          before: fc.array(fc.constantFrom(...HARMLESS), { maxLength: 3 }),
          after: fc.array(fc.constantFrom(...HARMLESS), { maxLength: 3 }),
        })
        .map(({ flag, length, underscores, tail, before, after }) => {
          const short = flag.slice(0, length);
          const name = underscores ? `--${short.slice(2).replaceAll("-", "_")}` : short;
          return { one, short, flags: [...before.flat(), name + tail, ...after.flat()] };
        }),
    );
    fc.assert(
      fc.property(spelling, ({ one, short, flags }) => {
        fc.pre(!["--reasoning-parser", "--quantization"].includes(short));
        expect(checkLaunchFlags(one, flags)).toBeDefined();
      }),
      { numRuns: 2_000 },
    );
  });
});
