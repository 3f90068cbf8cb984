// Lives in which something was broken once: they are played again in each run of the tests, whatever else is.

export interface Regression {
  readonly seed: number;
  readonly steps: number;
  /** What was broken. */
  readonly found: string;
}

export const REGRESSIONS: readonly Regression[] = [
  { seed: 385, steps: 500, found: "a recipe loses all of what it keeps at least, since each alone could go" },
  { seed: 20, steps: 500, found: "two idle replicas of a recipe that keeps one are sent away together" },
  { seed: 1_795_491_932_465, steps: 300, found: "a launch is explained as if it came after requests of low priority" },
];
