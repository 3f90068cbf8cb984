// Lives in which something was broken once: they are played again in each run of the tests, whatever else is.

export interface Regression {
  readonly seed: number;
  readonly steps: number;
  /** What was broken. */
  readonly found: string;
}

export const REGRESSIONS: readonly Regression[] = [
  { seed: 158, steps: 500, found: "a recipe loses all of what it keeps at least, since each alone could go" },
  { seed: 4, steps: 500, found: "two idle replicas of a recipe that keeps one are sent away together" },
  { seed: 7, steps: 500, found: "a sharer is started beside another one and what a third has left" },
  { seed: 40536, steps: 500, found: "a sleeper is asked for a token, because of what happened while it was awake" },
];
