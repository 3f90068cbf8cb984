// What is left when nothing happens any more: nobody waits, nothing runs that nobody wants, no timer is left.
import { LABELS } from "../../src/catalog/launch-spec.ts";
import type { Recipe } from "../../src/catalog/recipe.ts";
import type { Rig } from "../support/make-plane.ts";

export interface Leftovers {
  readonly recipes: readonly Recipe[];
  /** Those that have not heard the end. */
  readonly clients: readonly string[];
  /** Launches and stops that have not ended. */
  readonly orders: number;
}

/** Throws what is not as it must be. Stops the gateway. */
export async function expectRest(rig: Rig, { recipes, clients, orders }: Leftovers): Promise<void> {
  expect("clients that still wait", clients, []);
  expect("orders that never ended", orders, 0);
  expect("whether nobody waits", rig.plane.fleet.demand.isEmpty, true);
  for (const recipe of recipes) expectCount(rig, recipe, recipes);
  let isStopped = false;
  void rig.plane.stop().then(() => (isStopped = true));
  await rig.clock.advance(60_000);
  expect("whether the gateway stopped", isStopped, true);
  expect("timers that are left", rig.clock.pending, 0);
}

/** A pinned one that was ever started stays, and may take the room of those that ought to be there. */
function expectCount({ world }: Rig, { id, pinned, replicas: { min } }: Recipe, recipes: readonly Recipe[]): void {
  const states = [...world.containers.values()]
    .filter(({ spec }) => spec.labels[LABELS.recipe] === id)
    .map(({ state }) => state);
  expect(
    `what there is of ${id} and does not run`,
    states.filter((state) => state !== "running"),
    [],
  );
  const isCrowded = recipes.some((recipe) => recipe.pinned === true);
  const isFine = pinned === true || states.length === min || (isCrowded && states.length < min);
  if (!isFine) expect(`replicas of ${id}`, states.length, min);
}

function expect(what: string, actual: unknown, expected: unknown): void {
  const [found, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (found !== wanted) throw new Error(`${what}: ${found} instead of ${wanted}`);
}
