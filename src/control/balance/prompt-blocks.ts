// A prompt as a chain of hashes, one for each full block of its bytes: equal hashes mean equal beginnings, as in the caches of
// engines. Bytes stand for tokens, which only the engine's own tokenizer could tell; four make about one.
import type { Prompt, PromptDigest } from "../fleet/lease.ts";

/** Small enough that little of what is shared is missed, large enough that the index has few entries. */
export const BLOCK_BYTES = 512;
export const BLOCK_TOKENS = tokensOf(BLOCK_BYTES);
/** What comes after them is not looked at: it is longer than the context of most models, or an image. */
export const MOST_BLOCKS = 1024;

const LANE_BYTES = 16;
const PRIME_1 = 0x9e3779b1;
const PRIME_2 = 0x85ebca77;
const PRIME_3 = 0xc2b2ae3d;

/** Tokens that so many bytes of text are, roughly. */
function tokensOf(bytes: number): number {
  return bytes / 4;
}

/** What an engine has to read, roughly. What is longer than any text that is hashed is counted as if it were as long. */
export function promptTokens(prompt: Prompt | PromptDigest): number {
  return "blocks" in prompt ? prompt.tokens : tokensIn(prompt);
}

/** What is left of a prompt where its body is not to go along. */
export function digestOf(prompt: Prompt, model: string): PromptDigest {
  const blocks = new Uint32Array(MOST_BLOCKS);
  return { tokens: tokensIn(prompt), blocks: blocks.slice(0, hashBlocks(prompt, seedOf(model), blocks)) };
}

function tokensIn({ spans }: Prompt): number {
  let bytes = 0;
  for (const { start, end } of spans) bytes += end - start;
  return Math.min(tokensOf(bytes), MOST_BLOCKS * BLOCK_TOKENS);
}

/** Where the chains of a model begin, so that no two share a hash. */
export function seedOf(name: string): number {
  let seed = 0;
  for (let at = 0; at < name.length; at++) seed = Math.imul(seed ^ name.charCodeAt(at), PRIME_1);
  return finish(seed);
}

/** Fills `into` and says how many there are. A span begins a block; what is left of one at its end counts for those after it. */
export function hashBlocks({ body, spans }: Prompt, seed: number, into: Uint32Array): number {
  const bytes = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let hash = seed;
  let count = 0;
  for (const [index, { start, end }] of spans.entries()) {
    let at = start;
    for (; at + BLOCK_BYTES <= end; at += BLOCK_BYTES) {
      if (count === into.length) return count;
      hash = hashBlock(bytes, at, hash);
      into[count++] = hash;
    }
    if (index < spans.length - 1) hash = hashRest(body, at, end, hash);
  }
  return count;
}

/** Four lanes, which a processor works on at the same time: each waits only for itself. */
function hashBlock(bytes: DataView, start: number, seed: number): number {
  let a = seed;
  let b = seed ^ PRIME_1;
  let c = seed ^ PRIME_2;
  let d = ~seed;
  const end = start + BLOCK_BYTES;
  for (let at = start; at < end; at += LANE_BYTES) {
    a = Math.imul(rotate(a ^ bytes.getInt32(at, true), 13), PRIME_1);
    b = Math.imul(rotate(b ^ bytes.getInt32(at + 4, true), 13), PRIME_1);
    c = Math.imul(rotate(c ^ bytes.getInt32(at + 8, true), 13), PRIME_1);
    d = Math.imul(rotate(d ^ bytes.getInt32(at + 12, true), 13), PRIME_1);
  }
  return finish(rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18));
}

/** Less than a block. */
function hashRest(body: Buffer, start: number, end: number, seed: number): number {
  let hash = seed ^ (end - start);
  for (let at = start; at < end; at++) hash = Math.imul(rotate(hash ^ (body[at] ?? 0), 13), PRIME_1);
  return finish(hash);
}

function finish(mixed: number): number {
  let hash = Math.imul(mixed ^ (mixed >>> 15), PRIME_2);
  hash = Math.imul(hash ^ (hash >>> 13), PRIME_3);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}
