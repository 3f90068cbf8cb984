// What the docs say is so: paths exist, every folder is on the map, examples parse, every source file says what it is.
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadCatalog } from "../src/catalog/catalog.ts";
import { loadConfig } from "../src/config.ts";

const ROOT = join(import.meta.dirname, "..");
const GUIDES = ["architecture", "docker", "glossary", "operations", "recipes"];
const DOCS = ["README.md", "CONTRIBUTING.md", ...GUIDES.map((name) => `docs/${name}.md`)];

const read = (path: string) => readFile(join(ROOT, path), "utf8");

describe("the docs", () => {
  it.each(DOCS)("%s links to files that are there", async (doc) => {
    const links = [...(await read(doc)).matchAll(/\]\((?!https?:)([^)#]+)[^)]*\)/g)].map(([, link]) => link ?? "");
    const missing = links.filter((link) => !existsSync(join(ROOT, dirname(doc), link)));
    expect(missing).toEqual([]);
  });

  it("the map names only what is there, and every folder of src", async () => {
    const named = [
      ...(await read("docs/architecture.md")).matchAll(/`((?:src|test|scripts|recipes|deploy)\/[\w./-]*)`/g),
    ].map(([, path]) => path ?? "");
    expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
    const entries = await readdir(join(ROOT, "src"), { withFileTypes: true });
    const expected = entries.map((entry) => (entry.isDirectory() ? `src/${entry.name}/` : `src/${entry.name}`));
    expect(expected.filter((path) => !named.includes(path))).toEqual([]);
  });

  it("npm scripts that the docs name exist", async () => {
    const { scripts } = JSON.parse(await read("package.json"));
    const texts = await Promise.all(DOCS.map(read));
    const named = texts.flatMap((text) => [...text.matchAll(/npm run (\w[\w:-]*)/g)].map(([, script]) => script ?? ""));
    expect(named.filter((script) => !(script in scripts))).toEqual([]);
  });
});

describe("what is shipped", () => {
  it("config.yaml is valid, and so is every example in it", async () => {
    await expect(loadConfig(join(ROOT, "config.yaml"), {})).resolves.toMatchObject({ listen: { port: 8000 } });
    const examples = (await read("config.yaml")).replaceAll(/^# (?=[a-z]\w*:|  )/gm, "");
    const file = join(await mkdtemp(join(tmpdir(), "aim-engine-truth-")), "config.yaml");
    await writeFile(file, examples);
    const config = await loadConfig(file, { AIM_ENGINE_KEY: "long-enough" });
    expect(config).toMatchObject({ apiKeys: ["long-enough"], docker: { network: "aim-engine-network" } });
    await rm(dirname(file), { recursive: true });
  });

  it("every recipe can be used", async () => {
    const catalog = await loadCatalog([join(ROOT, "recipes")]);
    expect(catalog.problems).toEqual([]);
    expect(catalog.resolve("demo")).toBe("demo");
  });

  it("every source file says in its first line what it is", async () => {
    const files = (await readdir(join(ROOT, "src"), { recursive: true })).filter((file) => file.endsWith(".ts"));
    const silent: string[] = [];
    for (const file of files) {
      const [first = ""] = (await read(`src/${file}`)).split("\n");
      if (!/^(\/\/ |\/\*\*|#!)/.test(first)) silent.push(file);
    }
    expect(silent).toEqual([]);
  });
});
