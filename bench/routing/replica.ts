// One virtual replica: the sim engine's model of time, by stretches of equal steps instead of by tokens.
import { BlockCache, type Held } from "./block-cache.ts";
import { BLOCK_TOKENS, type Speed } from "./speed.ts";
import type { Ask } from "./workload.ts";

/** Who wants to know when an answer begins and ends. */
export interface Listener {
  onFirstToken(ask: Ask, at: number): void;
  onEnd(ask: Ask, at: number): void;
}

interface Sequence {
  readonly ask: Ask;
  held: Held | undefined;
  prefillLeft: number;
  said: number;
}

/** Steps under way that are all alike: one with prefill in it, or as many without as bring the first answer to its end. */
interface Stretch {
  readonly since: number;
  readonly stepMs: number;
  steps: number;
  readonly prefill: ReadonlyMap<Sequence, number>;
  readonly decode: readonly Sequence[];
}

/**
 * Sequences wait in order of arrival until there is a slot and room in the cache, then run until they said all. A step
 * prefills what the token budget allows, and gives each prefilled sequence a token.
 */
export class VirtualReplica {
  readonly #speed: Speed;
  readonly #listener: Listener;
  readonly #cache: BlockCache;
  readonly #waiting = new Set<Sequence>();
  readonly #running = new Set<Sequence>();
  #stretch: Stretch | undefined;
  /** Blocks of answers so far: no prompt has them, but they take room until they are forgotten. */
  #answerBlocks = 0;
  /** Tokens of prompts, and those of them that were found in the cache. */
  promptTokens = 0;
  cachedTokens = 0;
  answerTokens = 0;

  constructor(speed: Speed, listener: Listener) {
    this.#speed = speed;
    this.#listener = listener;
    this.#cache = new BlockCache(speed.blocks);
  }

  /** When something happens here next; Infinity when nothing runs. */
  get nextAt(): number {
    return this.#stretch === undefined ? Infinity : endOf(this.#stretch);
  }

  /** Milliseconds until its first token, were it sent here now, as long as nobody waits for room. What a gateway cannot know. */
  trueWaitMs(ask: Ask, now: number): number {
    const { prefillMsPerToken, decodeMsPerToken, decodeMsPerSequence, maxBatchedTokens } = this.#speed;
    const tokens = this.#tokensAfterStep(ask);
    const decodeMs = this.#running.size === 0 ? 0 : decodeMsPerToken + decodeMsPerSequence * this.#running.size;
    return this.#stepLeftMs(now) + tokens * prefillMsPerToken + Math.ceil(tokens / maxBatchedTokens) * decodeMs;
  }

  submit(ask: Ask, now: number): void {
    this.#waiting.add({ ask, held: undefined, prefillLeft: ask.tokens, said: 0 });
    if (this.#stretch === undefined) this.#begin(now);
    else if (this.#stretch.steps > 1) cutAfter(this.#stretch, now);
  }

  /** Does what is due at `nextAt`. */
  step(): void {
    const stretch = this.#stretch;
    if (stretch === undefined) return;
    const now = endOf(stretch);
    for (const [sequence, tokens] of stretch.prefill) this.#prefilled(sequence, tokens, now);
    for (const sequence of stretch.decode) this.#say(sequence, stretch.steps, now);
    this.#stretch = undefined;
    this.#begin(now);
  }

  /** Of the step under way. */
  #stepLeftMs(now: number): number {
    if (this.#stretch === undefined) return 0;
    const { since, stepMs } = this.#stretch;
    return Math.max(1, Math.ceil((now - since) / stepMs)) * stepMs - (now - since);
  }

  /** To prefill when the step under way is done, until it is its turn, and then for itself: by what will be in the cache then. */
  #tokensAfterStep(ask: Ask): number {
    const coming = new Set<number>();
    let tokens = 0;
    for (const sequence of this.#running) {
      if (sequence.prefillLeft === 0) continue;
      tokens += sequence.prefillLeft - (this.#stretch?.prefill.get(sequence) ?? 0);
      for (const block of sequence.ask.blocks) coming.add(block);
    }
    for (const { ask: other } of [...this.#waiting, { ask }]) {
      tokens += other.tokens - this.#cache.match(other.blocks, coming) * BLOCK_TOKENS;
      for (const block of other.blocks) coming.add(block);
    }
    return tokens;
  }

  #begin(now: number): void {
    this.#admit();
    if (this.#running.size === 0) return;
    const decode = [...this.#running].filter(({ prefillLeft }) => prefillLeft === 0);
    const prefill = this.#plan(decode.length);
    const { decodeMsPerToken, decodeMsPerSequence, prefillMsPerToken } = this.#speed;
    const decodeMs = decode.length === 0 ? 0 : decodeMsPerToken + decodeMsPerSequence * decode.length;
    let tokens = 0;
    for (const share of prefill.values()) tokens += share;
    const toFirstEnd = decode.reduce((least, { ask, said }) => Math.min(least, ask.outputTokens - said), Infinity);
    const steps = prefill.size > 0 ? 1 : toFirstEnd;
    this.#stretch = { since: now, stepMs: decodeMs + tokens * prefillMsPerToken, steps, prefill, decode };
  }

  #admit(): void {
    for (const sequence of this.#waiting) {
      if (this.#running.size >= this.#speed.maxSequences) return;
      const { ask } = sequence;
      sequence.held = this.#cache.reserve(ask.blocks, Math.ceil((ask.tokens + ask.outputTokens) / BLOCK_TOKENS));
      // The first one that does not fit holds up the rest: first come, first served.
      if (sequence.held === undefined) return;
      const cached = sequence.held.shared.length * BLOCK_TOKENS;
      sequence.prefillLeft -= cached;
      this.promptTokens += ask.tokens;
      this.cachedTokens += cached;
      this.#waiting.delete(sequence);
      this.#running.add(sequence);
    }
  }

  #plan(decoding: number): ReadonlyMap<Sequence, number> {
    const prefill = new Map<Sequence, number>();
    let budget = Math.max(1, this.#speed.maxBatchedTokens - decoding);
    for (const sequence of this.#running) {
      const share = Math.min(sequence.prefillLeft, budget);
      if (share > 0) prefill.set(sequence, share);
      budget -= share;
    }
    return prefill;
  }

  #prefilled(sequence: Sequence, tokens: number, now: number): void {
    const { ask, held } = sequence;
    sequence.prefillLeft -= tokens;
    if (sequence.prefillLeft > 0 || held === undefined) return;
    this.#cache.share(held, ask.blocks.slice(0, Math.floor(ask.tokens / BLOCK_TOKENS)));
    this.#listener.onFirstToken(ask, now);
    this.#say(sequence, 1, now);
  }

  #say(sequence: Sequence, tokens: number, now: number): void {
    const { ask, held } = sequence;
    sequence.said += tokens;
    this.answerTokens += tokens;
    if (sequence.said < ask.outputTokens || held === undefined) return;
    this.#running.delete(sequence);
    this.#cache.share(held, this.#withAnswer(ask));
    this.#cache.release(held);
    this.#listener.onEnd(ask, now);
  }

  /** The full blocks of the prompt and the answer. */
  #withAnswer({ blocks, tokens, outputTokens }: Ask): number[] {
    const full = Math.floor(tokens / BLOCK_TOKENS);
    const inAll = Math.floor((tokens + outputTokens) / BLOCK_TOKENS);
    return [...blocks.slice(0, full), ...Array.from({ length: inAll - full }, () => -++this.#answerBlocks)];
  }
}

function endOf({ since, stepMs, steps }: Stretch): number {
  return since + stepMs * steps;
}

/** Whoever comes meanwhile is let in when the step under way is done. */
function cutAfter(stretch: Stretch, now: number): void {
  stretch.steps = Math.min(stretch.steps, Math.max(1, Math.ceil((now - stretch.since) / stretch.stepMs)));
}
