// What of a replica is lent to other threads; see `Lending`.

/** Why other threads may take no slot of a replica; any other limit is a number above 0. */
export const CLOSED = { shut: 0, onTrial: -1, away: -2 } as const;

/** The prompts that a replica was sent by all threads and has not read. */
export interface SharedQueue {
  /** Those that others sent. */
  readonly others: { readonly prompts: number; readonly tokens: number };
  /** Tells the others what is queued there from here. */
  tell(queue: { readonly prompts: number; readonly tokens: number }): void;
}

/** What other threads have of a replica. */
export interface Lent {
  /** Their requests. */
  readonly inFlight: number;
  /** When one of them began or ended last; -Infinity before the first. */
  readonly usedAt: number;
  /** Requests that they gave it so far. */
  readonly grants: number;
  /** What of its prompts they and the fleet tell each other. */
  readonly queue: SharedQueue;
  /** Requests of the fleet's own, which count towards the limit. */
  owns(leases: number): void;
  /** From here on they keep to the limit: whoever takes a slot afterwards sees it, and whoever took one before is counted. */
  limit(limit: number): void;
}
