import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MOST_SLOTS, PrefixIndex } from "../../../src/control/balance/prefix-index.ts";

/** Blocks as the hashes of a real prompt are: spread over all bits, and each determined by those before it. */
function blocks(words: readonly number[]): Uint32Array {
  let hash = 17;
  return Uint32Array.from(words, (word) => {
    hash = Math.imul(hash ^ (word + 1), 0x9e3779b1);
    hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca77);
    return (hash ^= hash >>> 13);
  });
}

/** A prompt that shares nothing with those of other names. */
function prompt(name: number, length: number): Uint32Array {
  return blocks(Array.from({ length }, (_, index) => name * 1_000_003 + index));
}

function matched(index: PrefixIndex, of: Uint32Array): readonly number[] {
  const into = new Uint32Array(MOST_SLOTS);
  index.match(of, of.length, into);
  return [...into];
}

function record(index: PrefixIndex, slot: number, of: Uint32Array): void {
  index.record(slot, of, of.length);
}

/** A cache without epochs and without collisions: what was used least recently goes. */
class Reference {
  readonly #capacity: number;
  readonly #held = new Map<number, Set<number>>();

  constructor(capacity = Infinity) {
    this.#capacity = capacity;
  }

  record(slot: number, of: Uint32Array): void {
    const held = this.#held.get(slot) ?? new Set<number>();
    this.#held.set(slot, held);
    for (const block of of.toReversed()) {
      held.delete(block);
      held.add(block);
    }
    for (const block of held) {
      if (held.size <= this.#capacity) return;
      held.delete(block);
    }
  }

  forget(slot: number): void {
    this.#held.delete(slot);
  }

  match(slot: number, of: Uint32Array): number {
    const miss = of.findIndex((block) => !this.#held.get(slot)?.has(block));
    return miss === -1 ? of.length : miss;
  }
}

/** Few words, so that beginnings are shared. */
const someBlocks = fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 12 }).map(blocks);
const aSlot = fc.integer({ min: 0, max: MOST_SLOTS - 1 });
const aCommand = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("record"), slot: aSlot, of: someBlocks }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("forget"), slot: aSlot, of: someBlocks }) },
);

describe("the prefix index", () => {
  it("knows how much of a prompt each replica was sent", () => {
    const index = new PrefixIndex();
    record(index, 0, blocks([1, 2, 3, 4]));
    record(index, 1, blocks([1, 2, 9]));
    expect(matched(index, blocks([1, 2, 3, 5])).slice(0, 3)).toEqual([3, 2, 0]);
    expect(matched(index, blocks([7]))).toEqual(Array.from({ length: MOST_SLOTS }, () => 0));
    expect(matched(index, blocks([]))[0]).toBe(0);
  });

  it("says what a map of all that was sent says", () => {
    fc.assert(
      fc.property(fc.array(aCommand, { maxLength: 60 }), someBlocks, (commands, asked) => {
        const index = new PrefixIndex({ maxEntries: 2 ** 14 });
        const reference = new Reference();
        for (const { kind, slot, of } of commands) {
          if (kind === "forget") {
            index.forget(slot);
            reference.forget(slot);
          } else {
            record(index, slot, of);
            reference.record(slot, of);
          }
        }
        const slots = Array.from({ length: MOST_SLOTS }, (_, slot) => reference.match(slot, asked));
        expect(matched(index, asked)).toEqual(slots);
      }),
      { numRuns: 300 },
    );
  });

  it("never claims what was not sent there, however small it is", () => {
    fc.assert(
      fc.property(fc.array(aCommand, { maxLength: 80 }), fc.integer({ min: 0, max: 20 }), (commands, capacity) => {
        const index = new PrefixIndex({ maxEntries: 16 });
        const sent = new Reference();
        for (const { slot, of } of commands) {
          index.setCapacity(slot, capacity);
          record(index, slot, of);
          sent.record(slot, of);
          expect(index.held(slot)).toBeLessThanOrEqual(capacity);
        }
        for (const { of } of commands) {
          const claimed = matched(index, of);
          for (const [slot, count] of claimed.entries()) expect(count).toBeLessThanOrEqual(sent.match(slot, of));
        }
      }),
      { numRuns: 300 },
    );
  });

  it("forgets what the cache of a replica has no room for, the least recently used first", () => {
    const capacity = 640;
    const index = new PrefixIndex();
    index.setCapacity(0, capacity);
    const reference = { large: new Reference(capacity), small: new Reference(capacity - 2 * (capacity / 64)) };
    const prompts = Array.from({ length: 40 }, (_, name) => prompt(name, 5 + ((name * 37) % 60)));
    for (let step = 0; step < 2_000; step++) {
      const of = prompts[(step * step + 3 * step) % prompts.length]!;
      const count = matched(index, of)[0]!;
      expect(count).toBeLessThanOrEqual(reference.large.match(0, of));
      expect(count).toBeGreaterThanOrEqual(reference.small.match(0, of));
      record(index, 0, of);
      for (const each of Object.values(reference)) each.record(0, of);
    }
  });

  it("forgets the end of a prompt before its beginning", () => {
    const index = new PrefixIndex();
    index.setCapacity(0, 64);
    record(index, 0, prompt(1, 40));
    record(index, 0, prompt(2, 40));
    expect(matched(index, prompt(2, 40))[0]).toBe(40);
    expect(matched(index, prompt(1, 40))[0]).toBe(24);
  });

  it("keeps of a prompt that is larger than the cache its beginning", () => {
    const index = new PrefixIndex();
    index.setCapacity(0, 64);
    record(index, 0, prompt(1, 100));
    expect(matched(index, prompt(1, 100))[0]).toBe(64);
  });

  it("forgets all of a replica whose cache is lost, and nothing of others", () => {
    const index = new PrefixIndex();
    for (const slot of [3, 4]) record(index, slot, prompt(1, 10));
    index.forget(3);
    expect(matched(index, prompt(1, 10)).slice(3, 5)).toEqual([0, 10]);
    expect(index.held(3)).toBe(0);
    record(index, 3, prompt(1, 4));
    expect(matched(index, prompt(1, 10)).slice(3, 5)).toEqual([4, 10]);
  });

  it("forgets at once what no longer fits when the size of a cache becomes known", () => {
    const index = new PrefixIndex();
    record(index, 0, prompt(1, 100));
    index.setCapacity(0, 10);
    expect(index.held(0)).toBeLessThanOrEqual(10);
  });

  it("takes no more memory, whatever it is told", () => {
    const index = new PrefixIndex({ maxEntries: 1024 });
    for (let slot = 0; slot < MOST_SLOTS; slot++) record(index, slot, prompt(0, 10));
    const { bytes } = index;
    for (let name = 0; name < 1_000; name++) record(index, name % MOST_SLOTS, prompt(name, 50));
    expect(index.bytes).toBe(bytes);
    let held = 0;
    for (let slot = 0; slot < MOST_SLOTS; slot++) held += index.held(slot);
    expect(held).toBeLessThanOrEqual(1024);
    expect(matched(index, prompt(999, 50))[999 % MOST_SLOTS]).toBe(50);
  });

  it("remembers nearly all that its table has room for, though single blocks are lost", () => {
    const index = new PrefixIndex({ maxEntries: 4096 });
    const prompts = Array.from({ length: 40 }, (_, name) => prompt(name, 50));
    for (const each of prompts) record(index, 0, each);
    const whole = prompts.filter((each) => matched(index, each)[0] === 50);
    expect(whole.length).toBeGreaterThanOrEqual(38);
  });

  it("knows what it knew when a replica with a higher slot comes", () => {
    const index = new PrefixIndex();
    for (const slot of [0, 1, 5, MOST_SLOTS - 1]) record(index, slot, prompt(slot, 8));
    for (const slot of [0, 1, 5, MOST_SLOTS - 1]) expect(matched(index, prompt(slot, 8))[slot]).toBe(8);
  });

  it("survives replicas whose cache holds nothing", () => {
    const index = new PrefixIndex();
    index.setCapacity(0, 0);
    for (let round = 0; round < 600; round++) record(index, 0, prompt(round, 3));
    expect([index.held(0), matched(index, prompt(599, 3))[0]]).toEqual([0, 0]);
  });
});
