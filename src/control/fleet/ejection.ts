// What is held against a replica whose requests failed.

/** Why a replica is left out of the choice, or on trial after that. */
export interface Ejection {
  /** What became of its last request that failed. */
  readonly why: string;
  /** How often in a row. */
  readonly failures: number;
  readonly forMs: number;
  /** `Clock.now()` at which it may take one request again. */
  readonly until: number;
}
