import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encode, piecesOf } from "../../src/sim/tokens.ts";

describe("piecesOf", () => {
  it("cuts words, numbers, marks and the rest", () => {
    expect(piecesOf("<|im_start|>user\nHello wonderful 2026!  é")).toEqual([
      "<|im_start|>",
      "user",
      "\n",
      "Hello",
      " wonder",
      "ful",
      " ",
      "202",
      "6",
      "!",
      "  ",
      "é",
    ]);
  });

  it("loses nothing of any text", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => piecesOf(text).join("") === text));
  });

  it("makes about a token of four bytes of English", () => {
    const text = "The quick brown fox jumps over the lazy dog, and nobody in the village is surprised. ".repeat(20);
    const bytesPerToken = text.length / piecesOf(text).length;
    expect(bytesPerToken).toBeGreaterThan(3.5);
    expect(bytesPerToken).toBeLessThan(5);
  });
});

describe("encode", () => {
  it("gives equal beginnings equal tokens", () => {
    const prefix = "A system prompt that many requests share.\n";
    const [one, other] = [encode(`${prefix}First question`), encode(`${prefix}Something else`)];
    const shared = encode(prefix).length;
    expect(one.slice(0, shared)).toEqual(other.slice(0, shared));
    expect(one.slice(shared)).not.toEqual(other.slice(shared));
  });
});
