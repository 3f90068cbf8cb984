// The KV cache of a virtual replica, by blocks: what the sim engine's does with tokens.

/** What one sequence holds; given back with `release`. */
export interface Held {
  /** Blocks that others can find, in order. */
  readonly shared: number[];
  /** Blocks that nobody else can find (yet). */
  own: number;
}

/** A bounded number of blocks, forgotten least recently used first unless a sequence holds them. */
export class BlockCache {
  readonly #blocks: number;
  readonly #holders = new Map<number, number>();
  /** Held by nobody, in order of last use. */
  readonly #idle = new Set<number>();
  #own = 0;

  constructor(blocks: number) {
    this.#blocks = blocks;
  }

  /** How many blocks of the beginning are there, or would be if those `coming` were. */
  match(blocks: readonly number[], coming?: ReadonlySet<number>): number {
    // At least one token is always computed, so the last block, which may be full, never counts.
    const last = blocks.length - 1;
    for (let index = 0; index < last; index++) {
      const block = blocks[index] ?? -1;
      if (!this.#holders.has(block) && !coming?.has(block)) return index;
    }
    return Math.max(0, last);
  }

  /** Holds all blocks that a sequence will ever need; undefined when there is no room now. */
  reserve(blocks: readonly number[], blocksInAll: number): Held | undefined {
    const shared = blocks.slice(0, this.match(blocks));
    const own = blocksInAll - shared.length;
    const idleHits = shared.filter((block) => this.#idle.has(block)).length;
    const free = this.#blocks - this.#own - this.#holders.size;
    if (own > free + this.#idle.size - idleHits) return undefined;
    for (const block of shared) this.#hold(block);
    this.#evict(own - free);
    this.#own += own;
    return { shared, own };
  }

  /** Makes `blocks`, computed by now, findable for others. */
  share(held: Held, blocks: readonly number[]): void {
    for (const block of blocks.slice(held.shared.length)) {
      this.#hold(block);
      held.shared.push(block);
      held.own -= 1;
      this.#own -= 1;
    }
  }

  release(held: Held): void {
    this.#own -= held.own;
    held.own = 0;
    // Tail first, so that the beginning of a prompt outlives its end.
    for (const block of held.shared.splice(0).reverse()) {
      const holders = (this.#holders.get(block) ?? 1) - 1;
      this.#holders.set(block, holders);
      if (holders === 0) this.#idle.add(block);
    }
  }

  #hold(block: number): void {
    this.#idle.delete(block);
    this.#holders.set(block, (this.#holders.get(block) ?? 0) + 1);
  }

  #evict(count: number): void {
    for (const block of this.#idle) {
      if (count-- <= 0) return;
      this.#idle.delete(block);
      this.#holders.delete(block);
    }
  }
}
