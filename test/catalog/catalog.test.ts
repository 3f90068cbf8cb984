// The catalogue of a folder: names, conflicts, broken files and missing folders.
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Catalog, loadCatalog } from "../../src/catalog/catalog.ts";
import { recipeOf } from "./read.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "aim-catalog-"));
});

afterEach(() => rm(folder, { recursive: true }));

function text(model: string, rest = ""): string {
  return `model: ${model}\nengine: vllm\nprofiles: { 1_gpu: {} }\n${rest}\n`;
}

async function write(files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
}

/** The catalogue of recipes in files named by their ids. */
function catalogOf(files: Readonly<Record<string, string>>): Catalog {
  return new Catalog(Object.entries(files).map(([id, content]) => recipeOf(content, `${id}.yaml`)));
}

describe("loading", () => {
  it("reads the recipes of every folder in the order of their names", async () => {
    await mkdir(join(folder, "more"));
    await write({
      "b.yaml": text("acme/b"),
      "a.yml": text("acme/a"),
      "notes.txt": "x",
      ".hidden.yaml": "x",
      "more/c.yaml": text("acme/c"),
    });
    const catalog = await loadCatalog([folder, join(folder, "more"), folder]);
    expect(catalog.problems).toEqual([]);
    expect(catalog.recipes.map(({ id, file }) => [id, file])).toEqual([
      ["a", join(folder, "a.yml")],
      ["b", join(folder, "b.yaml")],
      ["c", join(folder, "more", "c.yaml")],
    ]);
  });

  it("follows links, as mounted configuration is made of them", async () => {
    await mkdir(join(folder, "..data"));
    await write({ "..data/a.yaml": text("acme/a") });
    await symlink(join("..data", "a.yaml"), join(folder, "a.yaml"));
    expect((await loadCatalog([folder])).recipe("a")?.model).toBe("acme/a");
  });

  it("serves the good files beside the bad, each of which is a problem", async () => {
    await mkdir(join(folder, "folder.yaml"));
    await symlink("nowhere", join(folder, "gone.yaml"));
    await write({
      "good.yaml": text("acme/good"),
      "bad.yaml": "model: m\nengin: vllm\n",
      "big.yaml": new Uint8Array(200_000),
      "empty.yaml": "",
    });
    const catalog = await loadCatalog([folder]);
    expect(catalog.models()).toEqual([{ model: "acme/good", aliases: [] }]);
    expect(catalog.problems.map(({ file, message }) => [file, message.replace(folder, "")])).toEqual([
      [
        join(folder, "bad.yaml"),
        "/bad.yaml:1:1: engine: missing; expected one of vllm, sglang, llama.cpp, sim, openai",
      ],
      [join(folder, "bad.yaml"), '/bad.yaml:1:1: profiles: missing; expected a map such as "1_gpu: {}"'],
      [join(folder, "bad.yaml"), '/bad.yaml:2:1: engin: unknown key; did you mean "engine"?'],
      [join(folder, "big.yaml"), "/big.yaml: larger than 32 KB, which no recipe is"],
      [join(folder, "empty.yaml"), "/empty.yaml: empty; a recipe has at least model, engine and profiles"],
      [join(folder, "folder.yaml"), "/folder.yaml: cannot be read (EISDIR)"],
      [join(folder, "gone.yaml"), "/gone.yaml: cannot be read (ENOENT)"],
    ]);
  });

  it("fails for a folder that is not there, and names it", async () => {
    await expect(loadCatalog([folder, "/no/such/recipes"])).rejects.toMatchObject({
      code: "invalid_config",
      message:
        'cannot read the recipe folder /no/such/recipes (ENOENT); create it, or correct "recipes" in the configuration',
    });
  });
});

describe("names", () => {
  const catalog = catalogOf({
    "qwen-bf16": text("Qwen/Qwen3-32B", "aliases: [qwen]"),
    "qwen-fp8": text("Qwen/Qwen3-32B", "aliases: [qwen, qwen-fast]"),
    llama: text("meta/Llama"),
  });

  it("resolve exactly, by model and by alias", () => {
    expect(["Qwen/Qwen3-32B", "qwen", "qwen-fast", "meta/Llama"].map((name) => catalog.resolve(name))).toEqual([
      "Qwen/Qwen3-32B",
      "Qwen/Qwen3-32B",
      "Qwen/Qwen3-32B",
      "meta/Llama",
    ]);
    for (const unknown of ["QWEN", "qwen ", "qwen-bf16", "", "__proto__", "constructor"])
      expect(catalog.resolve(unknown)).toBeUndefined();
  });

  it("lead to recipes", () => {
    expect(catalog.recipesFor("Qwen/Qwen3-32B").map(({ id }) => id)).toEqual(["qwen-bf16", "qwen-fp8"]);
    expect(catalog.recipesFor("qwen")).toEqual([]);
    expect(catalog.recipe("llama")?.model).toBe("meta/Llama");
    expect(catalog.recipe("nothing")).toBeUndefined();
    expect(catalog.models()).toEqual([
      { model: "Qwen/Qwen3-32B", aliases: ["qwen", "qwen-fast"] },
      { model: "meta/Llama", aliases: [] },
    ]);
  });

  it.each([
    ["Qwen/Qwen3-32", "Qwen/Qwen3-32B"],
    ["qwen3-32b", "Qwen/Qwen3-32B"],
    ["lama", "meta/Llama"],
    ["quen", "qwen"],
    ["gpt-4o", undefined],
    ["x".repeat(100_000), undefined],
  ])("that are wrong are near to the right one: %.20s", (name, expected) => {
    expect(catalog.nearest(name)).toBe(expected);
  });
});

describe("conflicts are problems that name both files", () => {
  it("two recipes with one id: the first is served", () => {
    const catalog = catalogOf({ one: text("acme/one", "id: same"), two: text("acme/two", "id: same") });
    expect(catalog.models().map(({ model }) => model)).toEqual(["acme/one"]);
    expect(catalog.problems).toEqual([
      {
        file: "two.yaml",
        message: 'two.yaml: the recipe id "same" is taken by one.yaml; give one of them another "id"',
      },
    ]);
  });

  it("an alias that is another model's name: the name wins, wherever it stands", () => {
    const catalog = catalogOf({ one: text("acme/one", "aliases: [acme/two, uno]"), two: text("acme/two") });
    expect(catalog.resolve("acme/two")).toBe("acme/two");
    expect(catalog.recipe("one")?.aliases).toEqual(["uno"]);
    expect(catalog.problems).toEqual([
      {
        file: "one.yaml",
        message: 'one.yaml: the alias "acme/two" is the name of the model acme/two in two.yaml; it is ignored here',
      },
    ]);
  });

  it("an alias of two models: the first keeps it", () => {
    const catalog = catalogOf({ one: text("acme/one", "aliases: [fast]"), two: text("acme/two", "aliases: [fast]") });
    expect(catalog.resolve("fast")).toBe("acme/one");
    expect(catalog.problems.map(({ message }) => message)).toEqual([
      'two.yaml: the alias "fast" is an alias of the model acme/one in one.yaml; it is ignored here',
    ]);
  });

  it("keeps the problems of files", () => {
    expect(new Catalog([], [{ file: "x.yaml", message: "x.yaml: broken" }]).problems).toHaveLength(1);
  });
});
