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

/** Whether there is nothing any more that ought to change. */
export function isAtRest(rig: Rig, leftovers: Leftovers): boolean {
  return unrestOf(rig, leftovers).length === 0;
}

/** Throws what is not as it must be. Stops the gateway. */
export async function expectRest(rig: Rig, leftovers: Leftovers): Promise<void> {
  expect("what does not come to rest", unrestOf(rig, leftovers), []);
  let isStopped = false;
  void rig.plane.stop().then(() => (isStopped = true));
  await rig.clock.advance(60_000);
  expect("whether the gateway stopped", isStopped, true);
  expect("timers that are left", rig.clock.pending, 0);
}

function unrestOf(rig: Rig, { recipes, clients, orders }: Leftovers): readonly string[] {
  const { demand } = rig.plane.fleet;
  return [
    ...clients.map((client) => `a client of ${client}`),
    ...(orders === 0 ? [] : [`${orders} orders of operators`]),
    ...(demand.isEmpty ? [] : ["somebody who waits in the fleet"]),
    ...recipes.flatMap((recipe) => wrongCount(rig, recipe, recipes)),
  ];
}

/** A pinned one that was ever started stays, and may take the room of those that ought to be there. */
function wrongCount(
  { world }: Rig,
  { id, pinned, replicas: { min } }: Recipe,
  recipes: readonly Recipe[],
): readonly string[] {
  const mine = [...world.containers.values()].filter(({ spec }) => spec.labels[LABELS.recipe] === id);
  const broken = mine.filter(({ state }) => state !== "running").map(({ ref, state }) => `${ref.name} is ${state}`);
  const isCrowded = recipes.some((recipe) => recipe.pinned === true);
  const isFine = pinned === true || mine.length === min || (isCrowded && mine.length < min);
  return isFine ? broken : [...broken, `${mine.length} replicas of ${id} instead of ${min}`];
}

function expect(what: string, actual: unknown, expected: unknown): void {
  const [found, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (found !== wanted) throw new Error(`${what}: ${found} instead of ${wanted}`);
}
