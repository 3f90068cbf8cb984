// What a gateway knows of its replicas, by what it sent them and what came back: kept as the fleet keeps it.
import { Backlog, type Unread } from "../../src/control/balance/backlog.ts";
import type { Ask as Wish, Candidate } from "../../src/control/balance/balancer.ts";
import { PrefixIndex } from "../../src/control/balance/prefix-index.ts";
import { BLOCK_TOKENS as INDEX_BLOCK_TOKENS, MOST_BLOCKS } from "../../src/control/balance/prompt-blocks.ts";
import { ModelRate, PrefillRate } from "../../src/control/balance/rates.ts";
import { BLOCK_TOKENS } from "./speed.ts";
import type { Ask } from "./workload.ts";

interface Sent {
  readonly replica: number;
  readonly prompt: Unread;
}

interface Known {
  inFlight: number;
  lastGrant: number;
  readonly rate: PrefillRate;
  readonly backlog: Backlog;
}

/** Blocks of the index per block of a trace. */
const PARTS = BLOCK_TOKENS / INDEX_BLOCK_TOKENS;

export class Router {
  readonly #known: readonly Known[];
  readonly #index = new PrefixIndex();
  readonly #open = new Map<Ask, Sent>();
  readonly #hashes = new Uint32Array(MOST_BLOCKS);
  #hashed = 0;
  readonly #matches = new Uint32Array(32);
  #grants = 0;

  /** `blocks`: what their caches hold, as far as it knows. */
  constructor(replicas: number, blocks: number) {
    const model = new ModelRate();
    this.#known = Array.from({ length: replicas }, () => {
      const rate = new PrefillRate(model);
      return { inFlight: 0, lastGrant: 0, rate, backlog: new Backlog(rate) };
    });
    for (let slot = 0; slot < replicas; slot++) this.#index.setCapacity(slot, blocks * PARTS);
  }

  /** The replicas as a balancer sees them. */
  candidates(now: number): readonly Candidate[] {
    return this.#known.map(({ inFlight, lastGrant, rate, backlog }) => ({
      hasRoom: true,
      isStale: false,
      inFlight,
      lastGrant,
      queuedPrompts: backlog.prompts,
      queuedTokens: backlog.tokensLeft(now),
      rate: rate.perSecond,
    }));
  }

  /** The request as a balancer sees it. */
  wish(ask: Ask): Wish {
    this.#hashed = this.#hash(ask);
    this.#index.match(this.#hashes, this.#hashed, this.#matches);
    const cachedTokens = this.#known.map((_, slot) => (this.#matches[slot] ?? 0) * INDEX_BLOCK_TOKENS);
    return { tokens: Math.min(ask.tokens, MOST_BLOCKS * INDEX_BLOCK_TOKENS), cachedTokens, sessionAt: -1 };
  }

  /** The request that `wish` was asked about last goes to that replica. */
  sent(ask: Ask, wish: Wish, replica: number): void {
    const known = this.#of(replica);
    known.inFlight += 1;
    known.lastGrant = ++this.#grants;
    const tokens = wish.tokens - (wish.cachedTokens[replica] ?? 0);
    const prompt = { tokens, since: ask.atMs, silent: false };
    known.backlog.add(prompt);
    this.#open.set(ask, { replica, prompt });
    this.#index.record(replica, this.#hashes, this.#hashed);
  }

  firstByte(ask: Ask, now: number): void {
    const { replica, prompt } = this.#sent(ask);
    this.#of(replica).backlog.read(prompt, now);
  }

  ended(ask: Ask): void {
    this.#of(this.#sent(ask).replica).inFlight -= 1;
    this.#open.delete(ask);
  }

  /** As if its text had been hashed: a hash for each full block, each of which says what all before it were. */
  #hash({ blocks, tokens }: Ask): number {
    const count = Math.min(MOST_BLOCKS, Math.floor(tokens / INDEX_BLOCK_TOKENS));
    for (let at = 0; at < count; at++) {
      this.#hashes[at] = Math.imul((blocks[Math.floor(at / PARTS)] ?? 0) * PARTS + (at % PARTS) + 1, 0x9e3779b1);
    }
    return count;
  }

  #sent(ask: Ask): Sent {
    const sent = this.#open.get(ask);
    if (sent === undefined) throw new Error("a request answered that was never sent, or twice");
    return sent;
  }

  #of(replica: number): Known {
    const known = this.#known[replica];
    if (known === undefined) throw new Error(`there is no replica ${replica}`);
    return known;
  }
}
