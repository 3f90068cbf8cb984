// Which of its replicas a request goes to: pure functions over a few numbers of each. What they have in common: no replica
// without room is picked; a stale one only when no other has room, so that it gets idle and goes; among equals it is the one
// whose last request is longest ago, which is round robin on an idle fleet.

/** What is known of a replica that may get the request. */
export interface Candidate {
  readonly hasRoom: boolean;
  /** Its recipe has changed or is gone: it goes as soon as it is idle. */
  readonly isStale: boolean;
  readonly inFlight: number;
  /** When it last got a request: a number that grows. */
  readonly lastGrant: number;
  /** Tokens of the prompts that it has been sent and has not read yet, without those that it should find in its cache. */
  readonly queuedTokens: number;
  /** Prompt tokens that it reads in a second; more than 0. */
  readonly rate: number;
}

/** What is known of the request. */
export interface Ask {
  /** What its prompt has, in all. */
  readonly tokens: number;
  /** How many of them each candidate should find in its cache, in the order of the candidates; none where it has no entry. */
  readonly cachedTokens: ArrayLike<number>;
  /** The candidate that served its session last; -1: none, or it is in no session. */
  readonly sessionAt: number;
}

/** The index of the candidate that gets it; -1 where none has room. */
export type Balancer = (candidates: readonly Candidate[], ask: Ask) => number;

/** Lower is better. */
type Score = (candidate: Candidate, ask: Ask, index: number) => number;

/** Scores so near to each other say nothing: rates are learned, and tokens are guessed from bytes. */
const SLACK = 0.02;

export const leastInFlight: Balancer = (candidates, ask) => lowest(candidates, ask, { score: inFlightOf });

export const leastQueuedTokens: Balancer = (candidates, ask) => lowest(candidates, ask, { score: queuedTokensOf });

export const roundRobin: Balancer = (candidates, ask) => lowest(candidates, ask, { score: same });

export const predictedTtft: Balancer = ttftTimes(() => 1);

/** Where its session was served last, as long as there is room; and where the best is for those who come for the first time. */
export const session: Balancer = (candidates, ask) => {
  const last = candidates[ask.sessionAt];
  return last?.hasRoom && !last.isStale ? ask.sessionAt : predictedTtft(candidates, ask);
};

/** The least time until its answer should begin, times what the requests that a replica has already cost those that come to it. */
export function ttftTimes(factor: (inFlight: number) => number): Balancer {
  const score: Score = (candidate, ask, index) => {
    const { queuedTokens, rate, inFlight } = candidate;
    const unread = queuedTokens + ask.tokens - (ask.cachedTokens[index] ?? 0);
    return (unread / rate) * factor(inFlight);
  };
  return (candidates, ask) => lowest(candidates, ask, { score, slack: SLACK });
}

function inFlightOf({ inFlight }: Candidate): number {
  return inFlight;
}

function queuedTokensOf({ queuedTokens, rate }: Candidate): number {
  return queuedTokens / rate;
}

function same(): number {
  return 0;
}

/** Of those that are about as good as the best, the one whose last request is longest ago. */
function lowest(
  candidates: readonly Candidate[],
  ask: Ask,
  { score, slack = 0 }: { readonly score: Score; readonly slack?: number },
): number {
  const stale = !candidates.some(isFreshWithRoom);
  let least = Infinity;
  for (const [index, candidate] of candidates.entries()) {
    if (candidate.hasRoom && candidate.isStale === stale) least = Math.min(least, score(candidate, ask, index));
  }
  let best = -1;
  let bestGrant = Infinity;
  for (const [index, candidate] of candidates.entries()) {
    if (!candidate.hasRoom || candidate.isStale !== stale || candidate.lastGrant >= bestGrant) continue;
    if (score(candidate, ask, index) > least * (1 + slack)) continue;
    best = index;
    bestGrant = candidate.lastGrant;
  }
  return best;
}

function isFreshWithRoom({ hasRoom, isStale }: Candidate): boolean {
  return hasRoom && !isStale;
}
