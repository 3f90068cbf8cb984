// The recipes that come with the project: all of them load, can be launched, and fit the hardware that they name.
import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { loadCatalog } from "../../src/catalog/catalog.ts";
import { flagValue } from "../../src/catalog/flags.ts";
import { toLaunchSpec } from "../../src/catalog/launch-spec.ts";
import { recipeSchema } from "../../src/catalog/recipe-schema.ts";
import { select } from "../../src/catalog/select.ts";

const catalog = await loadCatalog(["recipes"]);

const GB = 1e9;
/** What vLLM takes of a 192 GB card by default, less a generous part for activations and graphs. */
const USABLE_PER_MI300X = 0.92 * 192 * GB - 12 * GB;

/** Bytes of the weights, and of the KV cache for one token; `kvCopies`: every GPU keeps the whole cache. */
const SIZES: Readonly<Record<string, { weights: number; kvPerToken: number; kvCopies?: true }>> = {
  "qwen3-32b-bf16": { weights: 65.5 * GB, kvPerToken: 2 * 64 * 8 * 128 * 2 },
  "deepseek-r1-0528": { weights: 689 * GB, kvPerToken: 61 * 576 * 2, kvCopies: true },
  "llama-3.1-405b-fp8": { weights: 410 * GB, kvPerToken: 2 * 126 * 8 * 128 },
  "llama-4-maverick-fp8": { weights: 420 * GB, kvPerToken: 2 * 48 * 8 * 128 * 2 },
};

describe("the shipped recipes", () => {
  it("load without problems, each under the name of its file", () => {
    expect(catalog.problems).toEqual([]);
    expect(catalog.recipes.length).toBeGreaterThan(4);
    for (const { id, file } of catalog.recipes) expect(file).toBe(`recipes/${id}.yaml`);
  });

  const profiles = catalog.recipes.flatMap((recipe) => recipe.profiles.map((profile) => ({ recipe, profile })));
  const onGpus = profiles.filter(({ profile }) => profile.gpus > 0);

  it.each(onGpus.map(({ recipe, profile }) => ({ name: `${recipe.id}/${profile.id}`, recipe, profile })))(
    "fit their hardware, with a request of full length: $name",
    ({ recipe, profile }) => {
      const size = SIZES[recipe.id];
      if (size === undefined) throw new Error(`add the sizes of ${recipe.id}, and put the arithmetic into the file`);
      expect(recipe.hardware).toEqual(["MI300X"]);
      const kv = size.kvPerToken * Number(flagValue(profile.args, "--max-model-len"));
      const perGpu = size.weights / profile.gpus + (size.kvCopies === true ? kv : kv / profile.gpus);
      expect(perGpu).toBeLessThan(USABLE_PER_MI300X);
    },
  );

  it.each(Object.entries(SIZES))("need the GPUs of their smallest profile: half would not hold %s", (id, size) => {
    const smallest = catalog.recipe(id)?.profiles[0]?.gpus ?? 0;
    const half = Math.floor(smallest / 2);
    expect(size.weights / half).toBeGreaterThan(USABLE_PER_MI300X);
  });

  it.each(profiles.map(({ recipe, profile }) => ({ name: `${recipe.id}/${profile.id}`, recipe, profile })))(
    "can be launched: $name",
    ({ recipe, profile }) => {
      const spec = toLaunchSpec({
        replica: "r",
        installation: "i",
        recipe,
        profile,
        runtime: recipe.runtime ?? "docker",
        gpus: Array.from({ length: profile.gpus }, (_, index) => `gpu${index}`),
        defaults: {
          images: { vllm: "vllm:1" },
          startTimeoutMs: 1,
          stopGraceMs: 1,
          shmBytes: 1,
          pull: "missing",
          env: {},
          self: ["self"],
        },
      });
      expect(spec.argv.join(" ")).toContain("--port {port}");
    },
  );

  it("are chosen on a machine with eight MI300X, each by its model", () => {
    const gpus = Array.from({ length: 8 }, () => ({ product: "AMD Instinct MI300X", free: true }));
    const offers = new Map([
      ["docker", { knowsGpus: true, gpus }] as const,
      ["process", { knowsGpus: true, gpus: [] }] as const,
    ]);
    for (const { model } of catalog.models())
      expect(select(catalog.recipesFor(model), { model }, offers, "docker").kind).toBe("selected");
  });
});

describe("the demo", () => {
  it("runs on any machine, shows a wait of seconds, and unloads after a minute", () => {
    expect(catalog.recipe(catalog.resolve("demo") ?? "")).toMatchObject({
      engine: "sim",
      runtime: "process",
      keepAliveMs: 60_000,
      profiles: [{ id: "0_gpu", args: ["--sim-load-seconds", "6"] }],
    });
  });
});

describe("docs/recipes.md", () => {
  it("explains every key of a recipe", async () => {
    const text = await readFile("docs/recipes.md", "utf8");
    for (const key of Object.keys(recipeSchema.shape)) expect(text).toContain(`\`${key}\``);
  });

  it("shows examples that load", async () => {
    const { recipesOf } = await import("./read.ts");
    const text = await readFile("docs/recipes.md", "utf8");
    const examples = [...text.matchAll(/```yaml\n(.*?)```/gs)].map((match) => match[1] ?? "");
    expect(examples.length).toBeGreaterThan(2);
    for (const example of examples) expect(recipesOf(example, "example.yaml").length).toBeGreaterThan(0);
  });
});
