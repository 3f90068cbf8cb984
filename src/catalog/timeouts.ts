// The limits of a model's requests, from what its recipes say and what holds where they are silent.
import type { Recipe, Timeouts } from "./recipe.ts";

/**
 * Undefined where no recipe says anything. Which recipe will serve a request is not known when its time begins to run, so
 * the longest limit of each kind counts.
 */
export function timeoutsOf(
  recipes: readonly Pick<Recipe, "timeouts">[],
  defaults: Readonly<Timeouts>,
): Timeouts | undefined {
  if (recipes.every(({ timeouts }) => timeouts === undefined)) return undefined;
  const longest = (kind: keyof Timeouts) =>
    Math.max(...recipes.map(({ timeouts }) => timeouts?.[kind] ?? defaults[kind]));
  return {
    connectTimeoutMs: longest("connectTimeoutMs"),
    firstByteTimeoutMs: longest("firstByteTimeoutMs"),
    idleTimeoutMs: longest("idleTimeoutMs"),
    totalTimeoutMs: longest("totalTimeoutMs"),
  };
}
