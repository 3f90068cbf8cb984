// What each replica of a model should have in its prefix cache, by what it was sent: no word of any prompt, and no object for
// any of its blocks. Where it is wrong, a request goes to a replica that has less than was thought; nothing else depends on it.
//
//   A block is an entry of one table, found by the hash of all that leads up to it, with a stamp for each replica: in which of
//   that replica's epochs it was sent there last.
//   An epoch ends when 1/64 of what the replica's cache holds was sent in it. When more is remembered than the cache holds,
//   the oldest epoch is forgotten, and with it every stamp of it: engines, too, drop what was used least recently.
//   All stamps of a replica become old at once when its cache is lost (`forget`). Nothing is ever swept.
//   The table is bounded: a set of 8 entries that is full gives up the one that was used least recently.

/** Replicas of one model that are told apart; nothing is known of the caches of further ones. */
export const MOST_SLOTS = 32;

export interface PrefixIndexOptions {
  /** Most blocks that it knows; a power of two, 8 at least. */
  readonly maxEntries?: number;
}

const MAX_ENTRIES = 2 ** 17;
const WAYS = 8;
const WIDEST_GAP = 4;
const EPOCHS_PER_CACHE = 64;
/** Blocks that are used again and again leave old epochs almost empty; with so many the oldest is worth nothing. */
const MOST_EPOCHS = 512;
const LAST_STAMP = 2 ** 32 - 1;

export class PrefixIndex {
  /** Sets, each of 8 keys and then the ticks in which those were used last: as much as a processor fetches at once. */
  readonly #sets: Uint32Array;
  readonly #lastSet: number;
  /** How many replicas there are stamps for. */
  #width = 1;
  /** By entry and slot; 0: never sent there. */
  #stamps: Uint32Array;
  /** Records so far. */
  #tick = 0;
  readonly #capacity = new Float64Array(MOST_SLOTS).fill(Infinity);
  readonly #epoch = new Uint32Array(MOST_SLOTS).fill(1);
  /** The oldest epoch that is remembered. */
  readonly #horizon = new Uint32Array(MOST_SLOTS).fill(1);
  /** Blocks that are remembered. */
  readonly #live = new Uint32Array(MOST_SLOTS);
  /** The same by slot and epoch. */
  readonly #liveOf = new Uint32Array(MOST_SLOTS * MOST_EPOCHS);

  constructor({ maxEntries = MAX_ENTRIES }: PrefixIndexOptions = {}) {
    this.#sets = new Uint32Array(maxEntries * 2);
    this.#stamps = new Uint32Array(maxEntries);
    this.#lastSet = maxEntries / WAYS - 1;
  }

  /** Memory that it takes. */
  get bytes(): number {
    return this.#sets.byteLength + this.#stamps.byteLength + this.#liveOf.byteLength;
  }

  /** Blocks that a replica should have. */
  held(slot: number): number {
    return this.#live[slot] ?? 0;
  }

  /** How many blocks its cache holds. */
  setCapacity(slot: number, blocks: number): void {
    this.#capacity[slot] = blocks;
    this.#trim(slot);
  }

  /** Its cache is empty. */
  forget(slot: number): void {
    while (this.#live[slot] !== 0) this.#forgetEpoch(slot);
    this.#endEpoch(slot);
    this.#horizon[slot] = this.#epoch[slot] ?? 1;
  }

  /**
   * How many blocks from the first on each replica should have, by slot. A block says that it was sent all those before it, so
   * that a few which full sets have given up are no gap.
   */
  match(blocks: Uint32Array, count: number, into: Uint32Array): void {
    into.fill(0);
    let slots = this.#slotsInUse();
    for (let index = 0; index < count && slots !== 0; index++) {
      const entry = this.#find(keyOf(blocks, index));
      for (let rest = slots; rest !== 0; rest &= rest - 1) {
        const slot = lowestBit(rest);
        if (entry !== -1 && this.#has(entry, slot)) into[slot] = index + 1;
        else if (index - (into[slot] ?? 0) >= WIDEST_GAP) slots &= ~(1 << slot);
      }
    }
  }

  /** A replica is sent these blocks. */
  record(slot: number, blocks: Uint32Array, count: number): void {
    if (this.#tick >= LAST_STAMP || (this.#epoch[slot] ?? 0) >= LAST_STAMP - MOST_EPOCHS) this.#clear();
    if (slot >= this.#width) this.#widen(slot);
    this.#tick += 1;
    // From the last on: of what is forgotten, the end of a prompt goes before its beginning.
    for (let index = count - 1; index >= 0; index--) this.#stamp(this.#use(keyOf(blocks, index)), slot);
    this.#trim(slot);
  }

  #slotsInUse(): number {
    let slots = 0;
    for (let slot = 0; slot < this.#width; slot++) if (this.#live[slot] !== 0) slots |= 1 << slot;
    return slots;
  }

  #find(key: number): number {
    const set = key & this.#lastSet;
    const first = set * 2 * WAYS;
    for (let way = 0; way < WAYS; way++) if (this.#sets[first + way] === key) return set * WAYS + way;
    return -1;
  }

  #has(entry: number, slot: number): boolean {
    return (this.#stamps[entry * this.#width + slot] ?? 0) >= (this.#horizon[slot] ?? 0);
  }

  /** The entry of the key, new where there is none. */
  #use(key: number): number {
    const sets = this.#sets;
    const set = key & this.#lastSet;
    const first = set * 2 * WAYS;
    const ticks = first + WAYS;
    let oldest = 0;
    for (let way = 0; way < WAYS; way++) {
      if (sets[first + way] === key) {
        sets[ticks + way] = this.#tick;
        return set * WAYS + way;
      }
      // One that is free was never used.
      if ((sets[ticks + way] ?? 0) < (sets[ticks + oldest] ?? 0)) oldest = way;
    }
    const entry = set * WAYS + oldest;
    if (sets[first + oldest] !== 0) for (let slot = 0; slot < this.#width; slot++) this.#unstamp(entry, slot);
    sets[first + oldest] = key;
    sets[ticks + oldest] = this.#tick;
    return entry;
  }

  #stamp(entry: number, slot: number): void {
    this.#unstamp(entry, slot);
    const epoch = this.#epoch[slot] ?? 1;
    const at = ringIndex(slot, epoch);
    const count = (this.#liveOf[at] ?? 0) + 1;
    this.#stamps[entry * this.#width + slot] = epoch;
    this.#liveOf[at] = count;
    this.#live[slot] = (this.#live[slot] ?? 0) + 1;
    if (count >= (this.#capacity[slot] ?? 0) / EPOCHS_PER_CACHE) this.#endEpoch(slot);
  }

  #unstamp(entry: number, slot: number): void {
    const at = entry * this.#width + slot;
    const stamp = this.#stamps[at] ?? 0;
    this.#stamps[at] = 0;
    if (stamp < (this.#horizon[slot] ?? 0)) return;
    const ring = ringIndex(slot, stamp);
    this.#liveOf[ring] = (this.#liveOf[ring] ?? 0) - 1;
    this.#live[slot] = (this.#live[slot] ?? 0) - 1;
  }

  #trim(slot: number): void {
    while ((this.#live[slot] ?? 0) > (this.#capacity[slot] ?? 0)) this.#forgetEpoch(slot);
  }

  #endEpoch(slot: number): void {
    const next = (this.#epoch[slot] ?? 0) + 1;
    this.#epoch[slot] = next;
    if (next - (this.#horizon[slot] ?? 0) >= MOST_EPOCHS) this.#forgetEpoch(slot);
  }

  #forgetEpoch(slot: number): void {
    const oldest = this.#horizon[slot] ?? 0;
    if (oldest === this.#epoch[slot]) this.#endEpoch(slot);
    const at = ringIndex(slot, oldest);
    this.#live[slot] = (this.#live[slot] ?? 0) - (this.#liveOf[at] ?? 0);
    this.#liveOf[at] = 0;
    this.#horizon[slot] = oldest + 1;
  }

  /** There are few replicas as a rule, so there is no room for 32 from the beginning. */
  #widen(slot: number): void {
    const [narrow, before] = [this.#stamps, this.#width];
    while (this.#width <= slot) this.#width *= 2;
    const wide = new Uint32Array((narrow.length / before) * this.#width);
    for (let at = 0; at < narrow.length; at++) {
      wide[Math.floor(at / before) * this.#width + (at % before)] = narrow[at] ?? 0;
    }
    this.#stamps = wide;
  }

  /** Once in years: a counter has come to its end. */
  #clear(): void {
    for (const array of [this.#sets, this.#stamps, this.#live, this.#liveOf]) array.fill(0);
    for (const array of [this.#epoch, this.#horizon]) array.fill(1);
    this.#tick = 0;
  }
}

/** 0 is no key. */
function keyOf(blocks: Uint32Array, index: number): number {
  return blocks[index] || 1;
}

function ringIndex(slot: number, epoch: number): number {
  return slot * MOST_EPOCHS + (epoch % MOST_EPOCHS);
}

function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}
