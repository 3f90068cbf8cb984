// The KV cache: a bounded number of blocks, shared between prompts with the same beginning, forgotten least recently used first.

/** What one sequence holds; given back with `release`. */
export interface Reservation {
  /** Prompt tokens that need no prefill. */
  readonly cachedTokens: number;
  /** Keys of the shared blocks it holds, in order. */
  readonly keys: number[];
  /** Blocks it holds that nobody else can find yet. */
  privateBlocks: number;
}

export interface PrefixCacheOptions {
  readonly blocks: number;
  readonly blockSize: number;
  readonly enabled: boolean;
}

/**
 * A block is *private* (reserved, not computed or not full), *shared* (computed, held by `holders` sequences), *idle*
 * (shared with no holder left: still found by its key, evicted when room is needed) or free.
 */
export class PrefixCache {
  readonly #options: PrefixCacheOptions;
  readonly #holders = new Map<number, number>();
  /** In order of last use. */
  readonly #idle = new Set<number>();
  #privateBlocks = 0;

  constructor(options: PrefixCacheOptions) {
    this.#options = options;
  }

  /** Share of the blocks that sequences hold, 0 to 1. */
  get usage(): number {
    return (this.#privateBlocks + this.#holders.size - this.#idle.size) / this.#options.blocks;
  }

  /** Holds all blocks that a sequence will ever need; undefined when there is no room now. */
  reserve(prompt: readonly number[], outputTokens: number): Reservation | undefined {
    const { blocks, blockSize } = this.#options;
    const hits = this.#match(prompt);
    const needed = Math.ceil((prompt.length + outputTokens) / blockSize) - hits.length;
    const idleHits = hits.filter((key) => this.#idle.has(key)).length;
    const taken = this.#privateBlocks + this.#holders.size;
    if (needed > blocks - taken + this.#idle.size - idleHits) return undefined;
    for (const key of hits) this.#hold(key);
    this.#evict(needed - (blocks - taken));
    this.#privateBlocks += needed;
    return { cachedTokens: hits.length * blockSize, keys: hits, privateBlocks: needed };
  }

  /** Makes the full blocks of `tokens`, computed by now, findable for others. */
  share(reservation: Reservation, tokens: readonly number[]): void {
    if (!this.#options.enabled) return;
    const keys = blockKeys(tokens, this.#options.blockSize);
    for (const key of keys.slice(reservation.keys.length)) {
      // When somebody computed the same block meanwhile, theirs is held and ours becomes free.
      this.#hold(key);
      reservation.keys.push(key);
      reservation.privateBlocks--;
      this.#privateBlocks--;
    }
  }

  release(reservation: Reservation): void {
    this.#privateBlocks -= reservation.privateBlocks;
    reservation.privateBlocks = 0;
    // Tail first, so that the beginning of a prompt outlives its end.
    for (const key of reservation.keys.splice(0).reverse()) {
      const holders = (this.#holders.get(key) ?? 1) - 1;
      this.#holders.set(key, holders);
      if (holders === 0) this.#idle.add(key);
    }
  }

  /** Forgets every block that nobody holds. */
  clear(): void {
    this.#evict(this.#idle.size);
  }

  /** At least one token is always computed: it is what the first output comes from. */
  #match(prompt: readonly number[]): number[] {
    if (!this.#options.enabled) return [];
    const keys = blockKeys(prompt.slice(0, -1), this.#options.blockSize);
    const firstMiss = keys.findIndex((key) => !this.#holders.has(key));
    return firstMiss < 0 ? keys : keys.slice(0, firstMiss);
  }

  #hold(key: number): void {
    this.#idle.delete(key);
    this.#holders.set(key, (this.#holders.get(key) ?? 0) + 1);
  }

  #evict(count: number): void {
    for (const key of this.#idle) {
      if (count-- <= 0) return;
      this.#idle.delete(key);
      this.#holders.delete(key);
    }
  }
}

/** One key per full block. Each covers all tokens before it, so equal keys mean equal beginnings. */
export function blockKeys(tokens: readonly number[], blockSize: number): number[] {
  const keys: number[] = [];
  let high = 0x811c9dc5;
  let low = 0x2545f491;
  for (const [index, token] of tokens.entries()) {
    high = Math.imul(high ^ token, 0x01000193);
    low = Math.imul(low ^ (token + index), 0x5bd1e995);
    low ^= low >>> 15;
    // 53 bits: as many as a number holds exactly.
    if ((index + 1) % blockSize === 0) keys.push((high >>> 0) * 0x20_0000 + (low >>> 11));
  }
  return keys;
}
