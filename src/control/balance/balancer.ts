// Which of its replicas a request goes to: pure functions over a few numbers of each. What they have in common: no replica
// without room is picked; a stale one only when no other has room, so that it gets idle and goes; among equals it is the one
// with the fewest requests, and then the one whose last request is longest ago, which is round robin on an idle fleet.

/** What is known of a replica that may get the request. */
export interface Candidate {
  readonly hasRoom: boolean;
  /** Its recipe has changed or is gone: it goes as soon as it is idle. */
  readonly isStale: boolean;
  readonly inFlight: number;
  /** When it last got a request: a number that grows. */
  readonly lastGrant: number;
  /** Prompts that it was sent and has not read by now. */
  readonly queuedPrompts: number;
  /** What is left to read of them, without what it should find in its cache. */
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

/** What speaks against each candidate. */
type Cost = (candidate: Candidate, index: number) => number;

/** An engine's steps take so much longer for each request that it answers: what decoding 40 adds is as long as a step itself. */
const BATCH_THAT_DOUBLES = 40;
/** Rates are learned: replicas that differ by no more of what the prompt itself takes are equal. Never of their queues. */
const SLACK = 0.02;

export const leastInFlight: Balancer = (candidates) => cheapest(candidates, ({ inFlight }) => inFlight);

export const leastQueuedTokens: Balancer = (candidates) =>
  cheapest(candidates, ({ queuedTokens, rate }) => queuedTokens / rate);

export const roundRobin: Balancer = (candidates) => cheapest(candidates, ({ lastGrant }) => lastGrant);

/**
 * Where its answer should begin soonest: after what is queued there, and after its own prompt as far as that is not cached. What
 * it makes a replica read delays those behind it, too, of whom there will be about as many as wait now: the longer the queues
 * are, the more a cached beginning is worth. (Looking at times to the first token alone lets queues grow where few prompts are
 * asked again and again: each goes to whoever is free, and all caches lose them.)
 */
export const predictedTtft: Balancer = (candidates, { tokens, cachedTokens }) => {
  const delayed = 1 + meanQueue(candidates) / 2;
  const cost: Cost = ({ queuedTokens, rate, inFlight }, index) => {
    const uncached = tokens - (cachedTokens[index] ?? 0);
    return ((queuedTokens + uncached * delayed) / rate) * (1 + inFlight / BATCH_THAT_DOUBLES);
  };
  const slack: Cost = ({ rate }, index) => (SLACK * (tokens - (cachedTokens[index] ?? 0))) / rate;
  return cheapest(candidates, cost, slack);
};

/** Where its session was served last, as long as there is room; and where the best is for those who come for the first time. */
export const session: Balancer = (candidates, ask) => {
  const last = candidates[ask.sessionAt];
  return last?.hasRoom && last.isStale === isTurnOfStale(candidates) ? ask.sessionAt : predictedTtft(candidates, ask);
};

/** Prompts that wait to be read, by replica. */
function meanQueue(candidates: readonly Candidate[]): number {
  let prompts = 0;
  for (const { queuedPrompts } of candidates) prompts += queuedPrompts;
  return prompts / Math.max(1, candidates.length);
}

/** Of those that may get it and cost as little as the cheapest, or hardly more, the one that is least busy. */
function cheapest(candidates: readonly Candidate[], cost: Cost, slack: Cost = none): number {
  const stale = isTurnOfStale(candidates);
  let least = Infinity;
  let index = 0;
  for (const candidate of candidates) {
    if (candidate.hasRoom && candidate.isStale === stale) least = Math.min(least, cost(candidate, index));
    index++;
  }
  let best: Candidate | undefined;
  let bestAt = -1;
  index = -1;
  for (const candidate of candidates) {
    index++;
    if (!candidate.hasRoom || candidate.isStale !== stale) continue;
    if (cost(candidate, index) > least + slack(candidate, index)) continue;
    if (best !== undefined && !isLessBusy(candidate, best)) continue;
    best = candidate;
    bestAt = index;
  }
  return bestAt;
}

function isTurnOfStale(candidates: readonly Candidate[]): boolean {
  for (const { hasRoom, isStale } of candidates) if (hasRoom && !isStale) return false;
  return true;
}

function none(): number {
  return 0;
}

function isLessBusy(a: Candidate, b: Candidate): boolean {
  return a.inFlight < b.inFlight || (a.inFlight === b.inFlight && a.lastGrant < b.lastGrant);
}
