// A prompt with words: the text of blocks, for engines that want one.
import { BLOCK_TOKENS, BYTES_PER_TOKEN } from "../speed.ts";
import type { Ask } from "../workload.ts";

const LETTERS = 26;

/** A word of three letters and the space before it is a token for the sim engine, and four bytes for the gateway. */
export function promptOf({ blocks, tokens }: Pick<Ask, "blocks" | "tokens">): string {
  return blocks
    .map(textOf)
    .join("")
    .slice(0, tokens * BYTES_PER_TOKEN);
}

/** Equal blocks have equal words; others differ in their first ones at least. */
function textOf(block: number): string {
  return Array.from(
    { length: BLOCK_TOKENS },
    (_, at) => ` ${wordOf(at < 2 ? Math.floor(block / 17_576 ** at) : block + at)}`,
  ).join("");
}

function wordOf(number: number): string {
  return [LETTERS ** 2, LETTERS, 1]
    .map((place) => String.fromCharCode(97 + (Math.floor(number / place) % LETTERS)))
    .join("");
}
