// Which of the ready replicas gets a request: pure functions over what the fleet knows.

export interface Candidate {
  readonly inFlight: number;
  /** When it last got a request: a number that grows. */
  readonly lastGrant: number;
  readonly hasRoom: boolean;
  /** Its recipe has changed or is gone: it goes as soon as it is idle. */
  readonly isStale: boolean;
}

/**
 * A stale one only when no other has room, so that it gets idle and goes. Else the least in flight; among equals the one whose
 * last request is longest ago, which is round robin on an idle fleet.
 */
export function pick<T extends Candidate>(candidates: readonly T[]): T | undefined {
  let best: T | undefined;
  for (const candidate of candidates) {
    if (candidate.hasRoom && (best === undefined || isBetter(candidate, best))) best = candidate;
  }
  return best;
}

function isBetter(a: Candidate, b: Candidate): boolean {
  if (a.isStale !== b.isStale) return b.isStale;
  return a.inFlight < b.inFlight || (a.inFlight === b.inFlight && a.lastGrant < b.lastGrant);
}
