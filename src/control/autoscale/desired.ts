// How many replicas a model should have: pure. Up soon, by what is to do on average; down late, by the most there was to do.
import type { Recipe } from "../../catalog/recipe.ts";

/** Requests per replica where neither `target` nor `maxInFlight` says so: a batch that any engine serves well. */
const USUAL_TARGET = 16;

/** Requests that one replica of the recipe is meant for. One that is full cannot do what it is meant for: it is meant for less. */
export function meantLoad({ replicas: { target }, maxInFlight }: Pick<Recipe, "replicas" | "maxInFlight">): number {
  return Math.min(target ?? maxInFlight ?? USUAL_TARGET, maxInFlight ?? Infinity);
}

/** What was seen of a model. Load is requests in flight and waiting, of all its replicas together. */
export interface Samples {
  /** Replicas that serve or are coming up. */
  readonly current: number;
  /** How many there were when the present window began: within one they are doubled at most. */
  readonly base: number;
  /** Load over the window up. */
  readonly average: number;
  /** The highest load of the window down; absent: it was not observed from beginning to end. */
  readonly peak?: number;
  /** Somebody has waited for a whole window although all replicas serve, since all of them are full. */
  readonly isStarved: boolean;
}

export interface ScaleRule {
  /** Load that one replica is meant for. */
  readonly target: number;
  /** At least 1: whether a model runs at all is not decided here. */
  readonly floor: number;
  readonly max: number;
}

export function desiredReplicas(samples: Samples, { target, floor, max }: ScaleRule): number {
  const { current, base, average, peak, isStarved } = samples;
  const needed = average > current * target ? Math.ceil(average / target) : 0;
  const wanted = Math.min(Math.max(needed, isStarved ? current + 1 : 0), max, 2 * base);
  if (wanted > current) return wanted;
  const isTooMany = peak !== undefined && Math.ceil(peak / target) < current;
  return isTooMany && current > floor ? current - 1 : current;
}
