import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LineSplitter, MAX_LINE_LENGTH } from "../../../src/runtime/process/lines.ts";

function split(...chunks: readonly (string | Buffer)[]): string[] {
  const splitter = new LineSplitter();
  const lines = chunks.flatMap((chunk) => splitter.push(Buffer.from(chunk)));
  return [...lines, ...splitter.end()];
}

describe("LineSplitter", () => {
  it.each([
    ["a\nb\n", ["a", "b"]],
    ["a\r\nb", ["a", "b"]],
    ["\r 45%|####\r 90%|####\n", [" 45%|####", " 90%|####"]],
    ["\n\n a \n\t\n", [" a"]],
    ["\u001b[1;31mred\u001b[0m \u001b]8;;http://x\u0007link\u001b]8;;\u0007\n", ["red link"]],
    ["bell\u0007 back\b null\0 c1\u009b2J tab\there\n", ["bell back null c1 tab\there"]],
  ])("splits %j", (text, lines) => {
    expect(split(text)).toEqual(lines);
  });

  it("finds the same lines however the bytes are cut", () => {
    const text = fc.array(fc.constantFrom("a", "ä", "🙂", "\n", "\r", "\r\n", " "), { maxLength: 40 });
    fc.assert(
      fc.property(text, fc.array(fc.nat(80)), (parts, cuts) => {
        const bytes = Buffer.from(parts.join(""));
        const at = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
        const chunks = at.slice(1).map((to, index) => bytes.subarray(at[index], to));
        expect(split(...chunks)).toEqual(split(bytes));
      }),
    );
  });

  it("bounds a line that never ends, and goes on with the next one", () => {
    const chunk = "x".repeat(5000);
    expect(split(chunk, chunk, chunk, "\nnext\n")).toEqual(["x".repeat(MAX_LINE_LENGTH), "next"]);
    expect(split(`${"y".repeat(20_000)}\nnext`)).toEqual(["y".repeat(MAX_LINE_LENGTH), "next"]);
  });
});
