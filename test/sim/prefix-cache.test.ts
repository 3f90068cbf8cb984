import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { blockKeys, PrefixCache, type Reservation } from "../../src/sim/prefix-cache.ts";

function cacheOf(blocks: number, enabled = true): PrefixCache {
  return new PrefixCache({ blocks, blockSize: 4, enabled });
}

function tokens(count: number, first = 0): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

/** A sequence that came, computed and went. */
function pass(cache: PrefixCache, prompt: readonly number[], output = 0): number {
  const reservation = cache.reserve(prompt, output);
  if (reservation === undefined) throw new Error("no room");
  cache.share(reservation, prompt);
  cache.release(reservation);
  return reservation.cachedTokens;
}

describe("PrefixCache", () => {
  it("finds the full blocks of an equal beginning again", () => {
    const cache = cacheOf(100);
    expect(pass(cache, tokens(10))).toBe(0);
    expect(pass(cache, [...tokens(9), 99, 98, 97])).toBe(8);
  });

  it("always leaves a token to compute", () => {
    const cache = cacheOf(100);
    pass(cache, tokens(8));
    expect(pass(cache, tokens(8))).toBe(4);
  });

  it("does not take an equal block for one in another place", () => {
    const cache = cacheOf(100);
    pass(cache, tokens(8));
    expect(pass(cache, [...tokens(4, 50), ...tokens(4, 4), 1])).toBe(0);
    expect(pass(cache, [...tokens(4, 4), 1])).toBe(0);
  });

  it("finds nothing before it was computed, or when it is off", () => {
    const cache = cacheOf(100);
    expect(cache.reserve(tokens(9), 0)?.cachedTokens).toBe(0);
    expect(cache.reserve(tokens(9), 0)?.cachedTokens).toBe(0);
    const off = cacheOf(100, false);
    pass(off, tokens(9));
    expect(pass(off, tokens(9))).toBe(0);
  });

  it("lets two that hold the same blocks count them once", () => {
    const cache = cacheOf(10);
    const first = cache.reserve(tokens(9), 0);
    const second = cache.reserve(tokens(9), 0);
    if (first === undefined || second === undefined) throw new Error("no room");
    expect(cache.usage).toBe(0.6);
    cache.share(first, tokens(9));
    cache.share(second, tokens(9));
    expect(cache.usage).toBe(0.4);
    cache.release(first);
    expect(cache.usage).toBe(0.3);
    cache.release(second);
    expect(cache.usage).toBe(0);
  });

  it("refuses what does not fit now, and takes it when others went", () => {
    const cache = cacheOf(4);
    const first = cache.reserve(tokens(8), 4);
    expect(cache.reserve(tokens(8, 100), 0)).toBeUndefined();
    if (first !== undefined) cache.release(first);
    expect(cache.reserve(tokens(8, 100), 0)).toBeDefined();
  });

  it("forgets the least recently used beginning first, and its end before its start", () => {
    const cache = cacheOf(4);
    pass(cache, tokens(8));
    pass(cache, tokens(8, 100));
    pass(cache, [...tokens(8), 1]);
    pass(cache, tokens(4, 200));
    expect(pass(cache, [...tokens(8), 1])).toBe(8);
    expect(pass(cache, [...tokens(8, 100), 1])).toBe(0);
  });

  it("forgets everything that nobody holds when it is cleared", () => {
    const cache = cacheOf(10);
    pass(cache, tokens(9));
    cache.clear();
    expect(pass(cache, tokens(9))).toBe(0);
  });

  it("never holds more than it has, and gets everything back", () => {
    const step = fc.record({ prompt: fc.nat(3), length: fc.integer({ min: 1, max: 30 }), release: fc.nat(5) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const cache = cacheOf(12);
        const held: Reservation[] = [];
        for (const { prompt, length, release } of steps) {
          const wanted = tokens(length, prompt);
          const reservation = cache.reserve(wanted, 3);
          if (reservation !== undefined) held.push(reservation);
          if (reservation !== undefined && release % 2 === 0) cache.share(reservation, wanted);
          expect(cache.usage).toBeLessThanOrEqual(1);
          const gone = held.splice(release, 1)[0];
          if (gone !== undefined) cache.release(gone);
        }
        for (const reservation of held) cache.release(reservation);
        expect(cache.usage).toBe(0);
        expect(cache.reserve(tokens(48, 1000), 0)).toBeDefined();
      }),
    );
  });
});

describe("blockKeys", () => {
  it("has one key per full block, each telling all before it", () => {
    expect(blockKeys(tokens(11), 4)).toHaveLength(2);
    expect(blockKeys(tokens(11), 4)).toEqual(blockKeys(tokens(8), 4));
    expect(blockKeys([9, ...tokens(7, 1)], 4)[1]).not.toBe(blockKeys(tokens(8), 4)[1]);
  });
});
