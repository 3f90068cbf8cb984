import { describe, expect, it } from "vitest";
import { clean } from "../../src/cli/clean.ts";

describe("clean", () => {
  it.each([
    ["colours", "\u001b[1;31mred\u001b[0m", "red"],
    ["a clipboard write with its payload", "a\u001b]52;c;ZXZpbA==\u0007b", "ab"],
    ["a link that ends with ST", "\u001b]8;;http://evil\u001b\\text\u001b]8;;\u001b\\", "text"],
    ["a title that never ends", "\u001b]0;evil", ""],
    ["device control strings", "a\u001bP$q\u001b\\b", "ab"],
    ["sequences in their one-byte form", "a\u009b2Jb\u009d0;x\u009cc", "abc"],
    ["a reset", "\u001bcx\u001b(0y", "xy"],
    ["carriage return, backspace, bell and delete", "safe\r\b\b\u0007\u007fx", "safex"],
    ["text that runs backwards", "abc\u202etxt.exe\u2066\u200f", "abctxt.exe"],
    ["a lone escape at the end", "x\u001b", "x"],
  ])("takes out %s", (_, dirty, expected) => {
    expect(clean(dirty)).toBe(expected);
  });

  it("leaves text, newlines, tabs and other scripts alone", () => {
    const text = "a\tb\nÄ 漢字 👩‍🚀 עברית";
    expect(clean(text)).toBe(text);
  });

  it("does not let an unfinished sequence swallow the next line", () => {
    expect(clean("\u001b]0;evil\nnext")).toBe("\nnext");
  });
});
