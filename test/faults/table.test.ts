// The table of faults is whole, and every test that it names exists.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const LAST = { B: 12, C: 18, D: 9, E: 12, F: 7, G: 15 };
const TESTS = join(import.meta.dirname, "..");

interface Row {
  readonly id: string;
  readonly proof: string;
}

const text = await readFile(join(import.meta.dirname, "README.md"), "utf8");
const rows: readonly Row[] = [...text.matchAll(/^\| ([A-Z]\d+) .*\| ([^|]*?) *\|$/gm)].map(
  ([, id = "", proof = ""]) => ({ id, proof }),
);

function namedTests(proof: string): readonly { readonly file: string; readonly title: string }[] {
  return [...proof.matchAll(/`([\w/.-]+\.ts)` "(.*?)"(?=; `|$)/g)].map(([, file = "", title = ""]) => ({
    file,
    title,
  }));
}

describe("the table of faults", () => {
  it("has each row once", () => {
    const expected = Object.entries(LAST).flatMap(([letter, last]) =>
      Array.from({ length: last }, (_, index) => `${letter}${index + 1}`),
    );
    expect(rows.map(({ id }) => id)).toEqual(expected);
  });

  it.each(rows.map(({ id, proof }) => [id, proof] as const))("shows %s, or says why not", (_, proof) => {
    const parts = proof.startsWith("Not here: ") ? [] : proof.split("; `");
    // What could not be read as a test would go unnoticed.
    expect(namedTests(proof)).toHaveLength(parts.length);
  });

  it("names tests that exist", async () => {
    const missing: string[] = [];
    for (const { file, title } of rows.flatMap(({ proof }) => namedTests(proof))) {
      const source = await readFile(join(TESTS, file), "utf8").catch(() => "");
      if (![`"${title}"`, `\`${title}\``].some((quoted) => source.includes(quoted))) missing.push(`${file}: ${title}`);
    }
    expect(missing).toEqual([]);
  });
});
