// "Did you mean": near enough to help, never so far as to mislead.
import { describe, expect, it } from "vitest";
import { nearest } from "../../src/lib/nearest.ts";

describe("the nearest word", () => {
  it.each([
    ["engin", ["engine", "env"], "engine"],
    ["keep_alive", ["keepAlive", "replicas"], "keepAlive"],
    ["ENV", ["env", "engine"], "env"],
    ["exactly", ["exactly", "exactlx"], "exactly"],
    ["something-else", ["engine", "env"], undefined],
    ["x", [], undefined],
  ])("to %s of %j is %s", (word, known, expected) => {
    expect(nearest(word, known)).toBe(expected);
  });

  it("is not looked for when the word is longer than any name", () => {
    expect(nearest("x".repeat(1_000_000), ["x"])).toBeUndefined();
  });
});
