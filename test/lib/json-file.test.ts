import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { JsonFile } from "../../src/lib/json-file.ts";

describe("a JSON file", () => {
  let folder = "";

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "json-file-"));
  });

  afterEach(() => rm(folder, { recursive: true }));

  it("holds what was written last, and nothing lies beside it", async () => {
    const file = new JsonFile(join(folder, "state", "a.json"));
    await Promise.all([1, 2, 3].map((value) => file.write({ value })));
    await file.write({ value: 4 });
    expect(await file.read()).toEqual({ value: 4 });
    expect(await readdir(join(folder, "state"))).toEqual(["a.json"]);
  });

  it("that is not there holds nothing", async () => {
    expect(await new JsonFile(join(folder, "a.json")).read()).toBeUndefined();
  });

  it.each(["", '{"value": ', "hello"])("that was torn or is something else says so: %j", async (text) => {
    const path = join(folder, "a.json");
    await writeFile(path, text);
    await expect(new JsonFile(path).read()).rejects.toThrow(`${path} holds no JSON`);
    expect(await readFile(path, "utf8")).toBe(text);
  });

  it("that cannot be written says so", async () => {
    await writeFile(join(folder, "state"), "a file where a folder should be");
    await expect(new JsonFile(join(folder, "state", "a.json")).write({})).rejects.toThrow("state");
  });
});
