// Lives in which something was broken once: they are played again in each run of the tests, whatever else is.

export interface Regression {
  readonly seed: number;
  readonly steps: number;
  /** What was broken. */
  readonly found: string;
}

export const REGRESSIONS: readonly Regression[] = [
  { seed: 63, steps: 300, found: "two replicas of a recipe that keeps one were sent away together" },
  { seed: 8062, steps: 500, found: "a replica that did not answer was put to sleep for its own model's requests" },
  { seed: 50, steps: 300, found: "a stale sleeper is unloaded although its model is waited for" },
];
