// Why something is decided, or has to wait: the one vocabulary of plans, events, logs, metrics and explanations. The sentences
// beside them are for people; these are for programs.

/** What a start or a wake-up is for. */
export const START_REASONS = {
  requests: "requests wait for the model",
  order: "an operator asked for it",
  minimum: "the recipe keeps so many running",
  preload: "the recipe is started with the gateway",
  replacement: "one that somebody wanted has died",
  "scale out": "those that run have more to do than they should",
} as const;

/** Why a replica is taken down; also the label of the metric. */
export const STOP_REASONS = {
  idle: "nobody has used it for as long as it is kept",
  evicted: "its GPUs are needed for another model",
  unwanted: "nobody waits for its load any more, and its GPUs are needed",
  "scaled in": "fewer replicas have been enough for a while",
  stopped: "an operator stopped it",
  stale: "its recipe has changed or is gone",
  shutdown: "the gateway is shutting down",
  failed: "it died, or never became ready",
} as const;

/** Why a replica is put to sleep. */
export const SLEEP_REASONS = {
  idle: "nobody has used it for as long as it stays awake",
  evicted: "the memory of its GPUs is needed for another model",
} as const;

/** What demand waits for that is not met at once. */
export const HOLD_REASONS = {
  surveying: "what already runs is not known yet",
  starting: "a start has just been decided",
  limit: "as many replicas are starting as may at a time",
  "making room": "replicas are being stopped or put to sleep for it",
  coming: "GPUs are about to be given back",
  resident: "the model that holds the GPUs has not had them for long and is in use",
  busy: "all suitable GPUs are in use",
  asleep: "nobody who waits has the right to start it",
  "backing off": "it failed lately and is left alone for a while",
} as const;

export type StartReason = keyof typeof START_REASONS;
export type StopCause = keyof typeof STOP_REASONS;
export type SleepReason = keyof typeof SLEEP_REASONS;
export type HoldReason = keyof typeof HOLD_REASONS;

/** Demand that has to wait. */
export interface Hold {
  readonly why: HoldReason;
  /** What it waits for, for people. */
  readonly text: string;
  /** `Clock.now()` at which the wait is over if nothing happens before; absent: not known. */
  readonly until?: number;
}
