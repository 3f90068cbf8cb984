// SGLang's cache-aware rule, with the defaults of its router.
import type { Candidate } from "../../../src/control/balance/balancer.ts";
import type { Choice, PolicyOptions } from "../policies.ts";
import { leastOf } from "./least-of.ts";

/** Of the prompt, from which on it goes where it was seen. */
const LEAST_MATCH = 0.3;
/** Loads are unbalanced when they are further apart than both. */
const MOST_APART = 32;
const MOST_TIMES = 1.1;

export function sglang({ replicas, speed }: PolicyOptions): Choice {
  const trees = Array.from({ length: replicas }, () => new Tree(speed.blocks));
  return ({ ask, candidates }) => {
    const matches = trees.map((tree) => tree.match(ask.blocks));
    const longest = leastOf(candidates, (_, index) => -(matches[index] ?? 0));
    const share = (matches[longest] ?? 0) / ask.blocks.length;
    let choice = longest;
    if (isUnbalanced(candidates)) choice = leastOf(candidates, ({ inFlight }) => inFlight);
    else if (share <= LEAST_MATCH) choice = leastOf(candidates, (_, index) => trees[index]?.size ?? 0);
    trees[choice]?.add(ask.blocks);
    return choice;
  };
}

function isUnbalanced(candidates: readonly Candidate[]): boolean {
  const loads = candidates.map(({ inFlight }) => inFlight);
  const [least, most] = [Math.min(...loads), Math.max(...loads)];
  return most - least > MOST_APART && most > MOST_TIMES * least;
}

/** The beginnings of prompts that one replica was sent, the least recently sent forgotten first. */
class Tree {
  readonly #most: number;
  readonly #blocks = new Set<number>();

  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#blocks.size;
  }

  match(blocks: readonly number[]): number {
    const miss = blocks.findIndex((block) => !this.#blocks.has(block));
    return miss < 0 ? blocks.length : miss;
  }

  add(blocks: readonly number[]): void {
    // Tail first, so that the beginning of a prompt outlives its end.
    for (const block of blocks.toReversed()) {
      this.#blocks.delete(block);
      this.#blocks.add(block);
    }
    for (const block of this.#blocks) {
      if (this.#blocks.size <= this.#most) return;
      this.#blocks.delete(block);
    }
  }
}
