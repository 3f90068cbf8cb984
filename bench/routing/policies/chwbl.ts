// Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2016), as several LLM gateways have it.
import type { Choice, PolicyOptions } from "../policies.ts";

/** As KubeAI has them by default. */
const LOAD_FACTOR = 1.25;
const POINTS_PER_REPLICA = 256;

interface Point {
  readonly hash: number;
  readonly replica: number;
}

/** By the hash of the first `blocks` blocks of a prompt: from its place on the ring on, the first replica that is not over the bound. */
export function chwbl(blocks: number): (options: PolicyOptions) => Choice {
  return ({ replicas }) => {
    const points = Array.from({ length: replicas * POINTS_PER_REPLICA }, (_, index) => ({
      hash: mix(index + 1),
      replica: index % replicas,
    }));
    const ring = points.toSorted((a, b) => a.hash - b.hash);
    return ({ ask, candidates }) => {
      const inFlight = candidates.reduce((sum, candidate) => sum + candidate.inFlight, 0);
      const bound = Math.ceil((LOAD_FACTOR * (inFlight + 1)) / candidates.length);
      // A block's id stands for all that is before it, too.
      const key = ask.blocks[Math.min(blocks, ask.blocks.length) - 1] ?? 0;
      const first = firstFrom(ring, mix(~key));
      const inTurn = [...ring.slice(first), ...ring.slice(0, first)];
      return inTurn.find(({ replica }) => (candidates[replica]?.inFlight ?? Infinity) < bound)?.replica ?? 0;
    };
  };
}

function firstFrom(ring: readonly Point[], hash: number): number {
  return Math.max(
    0,
    ring.findIndex((point) => point.hash >= hash),
  );
}

/** The finisher of MurmurHash3. */
function mix(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
