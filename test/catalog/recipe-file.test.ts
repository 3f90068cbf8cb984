// Reading a recipe file: every fault at its place with its remedy, and nothing that a hostile file can do.
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseRecipeFile } from "../../src/catalog/recipe-file.ts";
import { problemsOf, recipeOf } from "./read.ts";

describe("a misspelt recipe", () => {
  it("is told file, line, column and the nearest right key, for every fault at once", () => {
    const text = `model: acme/m
engin: vllm
engine: vlm
keep_alive: 5m
profiles:
  1_gpu:
    arg: {}
  4_gpus: {}
replicas: { maximum: 3 }
resources: { memory: 64, shms: 1g }
`;
    expect(problemsOf(text)).toEqual([
      'recipes/test.yaml:2:1: engin: unknown key; did you mean "engine"?',
      'recipes/test.yaml:3:9: engine: expected one of vllm, sglang, llama.cpp, sim, openai; did you mean "vllm"?',
      'recipes/test.yaml:4:1: keep_alive: unknown key; did you mean "keepAlive"?',
      'recipes/test.yaml:7:5: profiles.1_gpu.arg: unknown key; did you mean "args"?',
      'recipes/test.yaml:8:3: profiles.4_gpus: expected a GPU count such as "1_gpu" or "8_gpu" ("0_gpu" for engines that need none)',
      "recipes/test.yaml:9:13: replicas.maximum: unknown key; the keys here are min, max, target",
      'recipes/test.yaml:10:22: resources.memory: expected a size such as "512m" or "64g"',
      'recipes/test.yaml:10:26: resources.shms: unknown key; did you mean "shm"?',
    ]);
  });

  it("is told about a typo and about what fields say together, at once", () => {
    const text = "model: m\nengine: vllm\nttls: 5m\nargs: { --host: x }\nprofiles:\n  2_gpu:\n    args: { -tp: 4 }\n";
    expect(problemsOf(text)).toEqual([
      'recipes/test.yaml:3:1: ttls: unknown key; did you mean "ttl"?',
      "recipes/test.yaml:4:9: args.--host: --host is not the recipe's to set: the gateway decides where a replica listens",
      "recipes/test.yaml:7:11: profiles.2_gpu.args: the parallel sizes ask for 4 GPUs, and this profile has 2; leave --tensor-parallel-size out and it is set to fit",
    ]);
  });

  it("is told what is missing", () => {
    expect(problemsOf("engine: vllm")).toEqual([
      'recipes/test.yaml:1:1: model: missing; expected a model name such as "Qwen/Qwen3-32B"',
      'recipes/test.yaml:1:1: profiles: missing; expected a map such as "1_gpu: {}"',
    ]);
  });

  it("is told where the YAML itself is wrong", () => {
    expect(problemsOf("model: m\nmodel: n\n")[0]).toMatch(/^recipes\/test\.yaml:2:1: .*unique/);
    expect(problemsOf("model: [a\nengine: b")[0]).toMatch(/^recipes\/test\.yaml:\d+:\d+: /);
    expect(problemsOf("model: m\n---\nmodel: n")[0]).toMatch(/^recipes\/test\.yaml:2:1: .*multiple documents/);
    expect(problemsOf("model: !!binary aGk=")).toEqual([
      "recipes/test.yaml:1:8: Unresolved tag: tag:yaml.org,2002:binary",
    ]);
    expect(problemsOf("model: *nobody")[0]).toMatch(/^recipes\/test\.yaml:1:\d+: .*nobody/);
  });
});

describe("a file that is no recipe", () => {
  it.each([
    ["an empty file", ""],
    ["comments alone", "# nothing yet\n"],
  ])("%s", (_, text) => {
    expect(problemsOf(text)).toEqual(["recipes/test.yaml: empty; a recipe has at least model, engine and profiles"]);
  });

  it("binary data", () => {
    const { problems } = parseRecipeFile("x.yaml", new Uint8Array([0xff, 0xfe, 0x00]));
    expect(problems).toEqual([{ file: "x.yaml", message: "x.yaml: not UTF-8 text" }]);
  });

  it("a file larger than any recipe", () => {
    expect(problemsOf(`# ${"x".repeat(70_000)}`)).toEqual(["recipes/test.yaml: larger than 32 KB, which no recipe is"]);
  });
});

describe("a hostile file is refused at once", () => {
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c]`;
  it.each([
    ["an alias bomb", bomb],
    ["a knot", "model: &knot { again: *knot }"],
    ["a knot of lists", "model: m\nargs: &knot [x, [*knot]]"],
    ["brackets", "[".repeat(32_000)],
    ["brackets over many lines", "[\n".repeat(16_000)],
    ["maps in maps", "{a: ".repeat(8_000)],
    ["a chain of list items", "- ".repeat(16_000)],
    ["a chain of keys", "? ".repeat(16_000)],
    ["a chain of values", "a: ".repeat(10_000)],
    ["a chain of values within brackets", `[${"a: ".repeat(10_000)}]`],
    ["keys within keys within brackets", `[${"? ".repeat(16_000)}]`],
    ["values within brackets over many lines", `[${"a:\n".repeat(10_000)}]`],
    ["keys within brackets over many lines", `[${"?\n".repeat(10_000)}]`],
    ["tags over many lines", `${"!a\n".repeat(10_000)}x`],
    ["list items and keys in turns", "- ? ".repeat(8_000)],
    ["a scalar of quotes", `"${'\\"'.repeat(16_000)}`],
    ["ever deeper lines", Array.from({ length: 300 }, (_, depth) => `${" ".repeat(depth)}a:`).join("\n")],
    ["anchors without end", `${"&a ".repeat(10_000)}x`],
    ["tags without end", `${"!a ".repeat(10_000)}x`],
  ])("%s", (_, text) => {
    const start = performance.now();
    expect(problemsOf(text).length).toBeGreaterThan(0);
    expect(performance.now() - start).toBeLessThan(5_000);
  });

  it("a key that is a prototype's", () => {
    expect(problemsOf("model: m\nengine: vllm\n__proto__: { x: 1 }\nprofiles: { 1_gpu: {} }")[0]).toContain(
      "unknown key",
    );
    expect(
      recipeOf("model: m\nengine: vllm\nargs: { constructor: 1 }\nprofiles: { 1_gpu: {} }").profiles[0]?.args,
    ).toEqual(["--constructor", "1"]);
  });
});

describe("any text at all", () => {
  const keys = [
    "model",
    "engine",
    "profiles",
    "args",
    "env",
    "1_gpu",
    "recipe_id",
    "vllm_serve",
    "replicas",
    "ttl",
    "x",
  ];
  const pieces = [
    ...keys.map((key) => `${key}: `),
    "\n",
    "\n  ",
    "\n    ",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "!!set ",
    "!!merge ",
    "%YAML 1.1\n---\n",
    "2001-01-01",
    "? ",
    "<<: ",
    "~",
    "1",
    "'",
    "|\n",
    "# ",
    ", ",
  ];

  it("is read or refused with its file and reason, and never throws", () => {
    const text = fc.array(fc.constantFrom(...pieces), { maxLength: 40 }).map((words) => words.join(""));
    fc.assert(
      fc.property(text, (content) => {
        const { recipes, problems } = parseRecipeFile("x.yaml", new TextEncoder().encode(content));
        expect(recipes.length + problems.length).toBeGreaterThan(0);
        for (const { message } of problems) expect(message).toMatch(/^x\.yaml(:\d+:\d+)?: \S/);
      }),
      { numRuns: 2_000 },
    );
  });

  it("that is a map of our keys with any values is, too", () => {
    const value = fc.dictionary(fc.constantFrom(...keys), fc.jsonValue({ maxDepth: 4 }), { noNullPrototype: true });
    fc.assert(
      fc.property(value, (content) => {
        const { recipes, problems } = parseRecipeFile("x.yaml", new TextEncoder().encode(JSON.stringify(content)));
        expect(recipes.length + problems.length).toBeGreaterThan(0);
      }),
      { numRuns: 1_000 },
    );
  });
});
