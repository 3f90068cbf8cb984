// The existing AIM recipe format: unmodified files, and what becomes of them.
import { describe, expect, it } from "vitest";
import { loadCatalog } from "../../src/catalog/catalog.ts";
import { problemsOf, recipeOf, recipesOf } from "./read.ts";

const FIXTURES = "test/fixtures/aim-recipes";

function aim(rest: string, id = "tiny-mi300x"): string {
  return `recipe_id: ${id}\nmodel_id: tiny\nhuggingface_id: acme/tiny\nhardware: MI300X\nprecision: bf16\n${rest}\n`;
}
const vllm = (args: string) => aim(`vllm_serve: { 1_gpu: { enabled: true, args: ${args} } }`);

describe("the files people have", () => {
  it("all load, each as one recipe per engine", async () => {
    const catalog = await loadCatalog([FIXTURES]);
    expect(catalog.problems).toEqual([]);
    expect(
      catalog.recipes.map(
        ({ id, engine, precision, profiles }) =>
          `${id} ${engine} ${precision} ${profiles.map((profile) => profile.gpus).join()}`,
      ),
    ).toEqual([
      "deepseek-r1-0528-mi300x-fp16 vllm fp16 2,4,8",
      "deepseek-r1-0528-mi300x-fp16-sglang sglang fp16 2,4,8",
      "llama-3-1-405b-fp8-kv-mi300x-fp8 vllm fp8 1,2,4,8",
      "llama-3-1-405b-fp8-kv-mi300x-fp8-sglang sglang fp8 1,2,4,8",
      "llama-4-maverick-17b-mi300x-fp8 vllm fp8 1,2,4,8",
      "llama-4-maverick-17b-mi300x-fp8-sglang sglang fp8 1,2,4,8",
      "qwen3-32b-mi300x-bf16 vllm bf16 1,2,4,8",
      "qwen3-32b-mi300x-bf16-sglang sglang bf16 1,2,4,8",
    ]);
  });

  it("keep what their engine understands, put the rest right and say so", async () => {
    const catalog = await loadCatalog([FIXTURES]);
    const onVllm = catalog.recipe("deepseek-r1-0528-mi300x-fp16");
    expect(onVllm?.profiles.at(-1)?.args.join(" ")).toBe(
      "--dtype float16 --tensor-parallel-size 8 --max-num-seqs 64 --max-model-len 8192 --gpu-memory-utilization 0.9 --trust-remote-code",
    );
    expect(onVllm?.notes).toEqual([
      'vllm: --model is left out: the recipe\'s "model" says it',
      "vllm: --max-batch-size is passed as --max-num-seqs, its name in vllm",
      "vllm: --max-context-len is passed as --max-model-len, its name in vllm",
      "vllm: --port is left out: the gateway decides where a replica listens",
    ]);
    const onSglang = catalog.recipe("llama-4-maverick-17b-mi300x-fp8-sglang");
    expect(onSglang?.profiles[0]?.args.join(" ")).toBe(
      "--chunked-prefill-size 8192 --context-length 131072 --mem-fraction-static 0.9 --trust-remote-code",
    );
    expect(onSglang?.notes).toContain(
      "sglang: --dtype float8_e5m2 is left out: no engine knows it, and the checkpoint says its own",
    );
  });
});

describe("an AIM recipe", () => {
  it("is found by its Hugging Face id and by both of its other ids", () => {
    const recipe = recipeOf(vllm("{}"));
    expect(recipe).toMatchObject({
      id: "tiny-mi300x",
      model: "acme/tiny",
      aliases: ["tiny", "tiny-mi300x"],
      hardware: ["MI300X"],
    });
  });

  it.each([
    ["'true' is the bare flag", "{ --enable-x: 'true' }", ["--enable-x"]],
    ["'false' is no flag", "{ --enable-x: 'false' }", []],
    ["a real boolean is one, too", "{ --enable-x: true, --y: false }", ["--enable-x"]],
    [
      "a fixed port, host, key or model is dropped",
      "{ --port: '8000', --host: 0.0.0.0, --api-key: k, --model: acme/tiny }",
      [],
    ],
    ["a flag nobody knows passes through", "{ --brand-new-flag: '7' }", ["--brand-new-flag", "7"]],
    ["an unquoted number is text", "{ --max-model-len: 4096 }", ["--max-model-len", "4096"]],
  ])("%s", (_, args, expected) => {
    expect(recipeOf(vllm(args)).profiles[0]?.args).toEqual(expected);
  });

  it.each(["FP8", "fp8-kv", "fp8_kv", "fp8"])("takes %s for fp8", (name) => {
    expect(recipeOf(vllm("{}").replace("bf16", name)).precision).toBe("fp8");
  });

  it("leaves out profiles that are not enabled, and takes the smallest of the others for the default", () => {
    const text = aim(
      "vllm_serve: { 8_gpu: { enabled: true }, 1_gpu: { enabled: false }, 4_gpu: { enabled: 'true' }, 2_gpu: { enabled: 'false' } }",
    );
    expect(recipeOf(text).profiles.map(({ id, isDefault }) => [id, isDefault])).toEqual([
      ["4_gpu", true],
      ["8_gpu", false],
    ]);
  });

  it("with an SGLang block alone keeps its plain id", () => {
    expect(recipeOf(aim("sglang_serve: { 1_gpu: { enabled: true } }"))).toMatchObject({
      id: "tiny-mi300x",
      engine: "sglang",
    });
  });

  it("with ids that are too long or too free gets shorter ones that differ where theirs do", () => {
    const ids = [
      "Meta/Llama 4 Maverick 17B 128E Instruct on MI300X (a)",
      "Meta/Llama 4 Maverick 17B 128E Instruct on MI300X (b)",
    ].flatMap((id) =>
      recipesOf(aim("vllm_serve: { 1_gpu: {} }\nsglang_serve: { 1_gpu: {} }", id)).map((recipe) => recipe.id),
    );
    expect(new Set(ids).size).toBe(4);
    for (const id of ids) expect(id).toMatch(/^meta-llama-4-maverick[a-z0-9.-]{0,19}$/);
    expect(recipeOf(aim("vllm_serve: { 1_gpu: {} }", '"///"')).id).toMatch(/^recipe-[0-9a-f]{6}$/);
  });
});

describe("a wrong AIM recipe is a problem with place and remedy", () => {
  it.each([
    [
      "a misspelt key",
      aim("vllm_server: {}"),
      'recipes/test.yaml:6:1: vllm_server: unknown key; did you mean "vllm_serve"?',
    ],
    [
      "a misspelt key of a profile",
      aim("vllm_serve: { 1_gpu: { enabld: true } }"),
      'recipes/test.yaml:6:24: vllm_serve.1_gpu.enabld: unknown key; did you mean "enabled"?',
    ],
    [
      "an unknown precision",
      vllm("{}").replace("bf16", "fp9"),
      "recipes/test.yaml:5:12: precision: expected one of fp16, bf16, fp8, int8, int4",
    ],
    ["a flag without dashes", vllm("{ port: '1' }"), 'expected a flag such as "--max-model-len"'],
    [
      "a flag in a value",
      vllm("{ --a: '--trust-remote-code' }"),
      '"--trust-remote-code" would be read as another flag',
    ],
    [
      "parallelism that is not the GPU count",
      vllm("{ --tensor-parallel-size: '4' }"),
      "the parallel sizes ask for 4 GPUs, and this profile has 1",
    ],
    ["no enabled profile", aim("vllm_serve: { 1_gpu: { enabled: false } }"), "no profile is enabled"],
    ["neither engine", aim(""), "no profile is enabled"],
    ["a profile of no GPUs", aim("vllm_serve: { 0_gpu: {} }"), 'expected a GPU count such as "1_gpu"'],
  ])("%s", (_, text, expected) => {
    const problems = problemsOf(text);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(expected);
  });
});
