// The bugs made by hand are still bugs in the source as it is; whether they are found is what `npm run test:simulation -- --bugs`
// shows.
import { readFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { BUGS } from "./bugs.ts";
import { withBug } from "./plant.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");

describe("a bug made by hand", () => {
  it.each(BUGS)("can be planted: $name", async (bug) => {
    const source = await readFile(path.join(ROOT, bug.file), "utf8");
    expect(withBug(source, bug)).not.toBe(source);
  });

  it("has a name of its own and is listed with what finds it", async () => {
    const readme = await readFile(path.join(import.meta.dirname, "README.md"), "utf8");
    const names = BUGS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.filter((name) => !readme.includes(`\`${name}\``))).toEqual([]);
  });

  it("is not planted where its text is missing or stands twice", () => {
    const bug = { name: "x", what: "", file: "x.ts", text: "a", instead: "b" };
    expect(() => withBug("c", bug)).toThrow("its text stands nowhere in x.ts");
    expect(() => withBug("aa", bug)).toThrow("its text stands more than once in x.ts");
  });
});
