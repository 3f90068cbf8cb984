import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  BLOCK_BYTES,
  BLOCK_TOKENS,
  hashBlocks,
  MOST_BLOCKS,
  promptTokens,
  seedOf,
} from "../../../src/control/balance/prompt-blocks.ts";
import type { Prompt } from "../../../src/control/fleet/lease.ts";

const SEED = seedOf("some/model");

function hashes(prompt: Prompt, seed = SEED): readonly number[] {
  const into = new Uint32Array(MOST_BLOCKS);
  return [...into.subarray(0, hashBlocks(prompt, seed, into))];
}

/** Each text is a span; `offset` bytes come before, between and after them. */
function promptOf(texts: readonly (string | Buffer)[], offset = 0): Prompt {
  const gap = Buffer.alloc(offset, "#");
  const spans: { start: number; end: number }[] = [];
  let body = gap;
  for (const text of texts) {
    const start = body.length;
    body = Buffer.concat([body, Buffer.from(text), gap]);
    spans.push({ start, end: body.length - offset });
  }
  return { body, spans };
}

const text = (blocks: number, of = "x") => of.repeat((blocks * BLOCK_BYTES) / of.length);

describe("hashing the blocks of a prompt", () => {
  it("gives one hash for each full block", () => {
    expect(hashes(promptOf([text(3)]))).toHaveLength(3);
    expect(hashes(promptOf([`${text(3)}and a bit`]))).toHaveLength(3);
    expect(hashes(promptOf(["short"]))).toEqual([]);
    expect(hashes(promptOf([]))).toEqual([]);
    expect(hashes(promptOf([""]))).toEqual([]);
  });

  it("gives the same hashes wherever the prompt stands in its body", () => {
    const one = hashes(promptOf([text(2, "tool"), text(2, "talk")]));
    for (const offset of [1, 2, 3, 7])
      expect(hashes(promptOf([text(2, "tool"), text(2, "talk")], offset))).toEqual(one);
  });

  it("gives prompts with the same beginning the same hashes up to where they part, and no further", () => {
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 6 * BLOCK_BYTES });
    fc.assert(
      fc.property(bytes, fc.nat(), fc.integer({ min: 1, max: 255 }), (before, where, flip) => {
        const at = where % before.length;
        const after = Buffer.from(before);
        after[at] = (after[at] ?? 0) ^ flip;
        const [one, other] = [hashes(promptOf([Buffer.from(before)])), hashes(promptOf([after]))];
        const common = Math.floor(at / BLOCK_BYTES);
        expect(other.slice(0, common)).toEqual(one.slice(0, common));
        for (let index = common; index < one.length; index++) expect(other[index]).not.toBe(one[index]);
      }),
      { numRuns: 200 },
    );
  });

  it("begins a block with each span, and counts what is left of the span before it", () => {
    const messages = text(2, "talk");
    const one = hashes(promptOf(["[tool 1]", messages]));
    expect(one).toHaveLength(2);
    for (const other of [["[tool 2]", messages], ["[tool 1] ", messages], [messages]]) {
      expect(hashes(promptOf(other))[0]).not.toBe(one[0]);
    }
    expect(hashes(promptOf([text(1), messages]))).not.toEqual(hashes(promptOf([text(1) + messages.slice(1)])));
  });

  it("shares nothing between models", () => {
    const prompt = promptOf([text(2)]);
    expect(hashes(prompt, seedOf("a"))[0]).not.toBe(hashes(prompt, seedOf("b"))[0]);
  });

  it("tells beginnings of the same bytes and different lengths apart", () => {
    const all = hashes(promptOf([text(500)]));
    expect(new Set(all).size).toBe(500);
  });

  it("stops at as many as there is room for", () => {
    const prompt = promptOf([text(5), text(5)]);
    const into = new Uint32Array(3);
    expect(hashBlocks(prompt, SEED, into)).toBe(3);
    expect([...into]).toEqual(hashes(prompt).slice(0, 3));
  });

  it("spreads what differs in one bit over all bits", () => {
    const flips = Array.from({ length: 32 }, () => 0);
    for (let at = 0; at < BLOCK_BYTES; at++) {
      const bytes = Buffer.alloc(BLOCK_BYTES);
      const before = hashes(promptOf([bytes]))[0] ?? 0;
      bytes[at] = 1;
      const changed = before ^ (hashes(promptOf([bytes]))[0] ?? 0);
      for (let bit = 0; bit < 32; bit++) flips[bit] = (flips[bit] ?? 0) + ((changed >>> bit) & 1);
    }
    for (const count of flips) expect(Math.abs(count / BLOCK_BYTES - 0.5)).toBeLessThan(0.1);
  });
});

describe("counting the tokens of a prompt", () => {
  it("counts the bytes of its spans alone", () => {
    expect(promptTokens(promptOf([text(2), text(1)], 99))).toBe(3 * BLOCK_TOKENS);
    expect(promptTokens(promptOf([]))).toBe(0);
  });

  it("takes what is longer than any text for an image", () => {
    const body = Buffer.alloc(0);
    expect(promptTokens({ body, spans: [{ start: 0, end: 40_000_000 }] })).toBe(MOST_BLOCKS * BLOCK_TOKENS);
  });
});
