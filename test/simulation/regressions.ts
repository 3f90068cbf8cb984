// Lives in which something was broken once: they are played again in each run of the tests, whatever else is.

export interface Regression {
  readonly seed: number;
  readonly steps: number;
  /** What was broken. */
  readonly found: string;
}

export const REGRESSIONS: readonly Regression[] = [
  { seed: 165, steps: 500, found: "a recipe loses what it keeps at least, one to rest and one to drain" },
  { seed: 82, steps: 500, found: "two replicas of a recipe that keeps one are sent away together" },
  { seed: 52, steps: 500, found: "one that does not answer is put to sleep for its own model's requests" },
];
