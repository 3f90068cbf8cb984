// The texts that real engines are sent in place of blocks: they have to be as long and as much alike as those.
import { expect, it } from "vitest";
import { promptOf } from "../../bench/routing/real/prompt.ts";
import { BLOCK_TOKENS, BYTES_PER_TOKEN } from "../../bench/routing/speed.ts";
import { Texts } from "../../bench/routing/texts.ts";
import { encode } from "../../src/sim/tokens.ts";

const texts = new Texts();
const begun = texts.begin(2 * BLOCK_TOKENS + 100);
const [one, other] = [texts.grow(begun, 700), texts.grow(begun, 700)].map(promptOf);

it("have as many tokens as the blocks say, by the engine and by the gateway", () => {
  expect(encode(one ?? "")).toHaveLength(begun.tokens + 700);
  expect(Buffer.byteLength(one ?? "")).toBe((begun.tokens + 700) * BYTES_PER_TOKEN);
});

it("begin alike where their blocks do, and go on differently", () => {
  const common = 2 * BLOCK_TOKENS * BYTES_PER_TOKEN;
  expect(one?.slice(0, common)).toBe(other?.slice(0, common));
  expect(one?.slice(0, common)).toBe(promptOf(begun).slice(0, common));
  expect(one?.slice(common, common + 16)).not.toBe(other?.slice(common, common + 16));
});

it("differ for all blocks in their first words", () => {
  const begins = Array.from({ length: 18_000 }, (_, block) => promptOf({ blocks: [block], tokens: 2 }));
  expect(new Set(begins).size).toBe(begins.length);
});
