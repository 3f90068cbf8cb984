// The least by a score, as the gateway's own balancers find it.
import type { Candidate } from "../../../src/control/balance/balancer.ts";

/** The index of the least score; among equals of the one whose last request is longest ago. */
export function leastOf(
  candidates: readonly Candidate[],
  scoreOf: (candidate: Candidate, index: number) => number,
): number {
  const scored = candidates.map((candidate, index) => ({ index, score: scoreOf(candidate, index), ...candidate }));
  const best = scored.reduce((a, b) =>
    b.score < a.score || (b.score === a.score && b.lastGrant < a.lastGrant) ? b : a,
  );
  return best.index;
}
