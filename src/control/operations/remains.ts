// Clearing away what is left of replicas that no longer run: their logs in the runtimes, and the memory of their failures.
import type { Catalog } from "../../catalog/catalog.ts";
import type { RuntimeName } from "../../catalog/recipe.ts";
import { RECIPE_ID } from "../../catalog/recipe-schema.ts";
import type { RuntimeDriver } from "../../runtime/driver.ts";
import type { Fleet } from "../fleet.ts";
import type { Names } from "./names.ts";

export interface RemainsDeps {
  readonly fleet: Fleet;
  readonly catalog: Catalog;
  readonly names: Names;
  readonly drivers: ReadonlyMap<RuntimeName, RuntimeDriver>;
}

/** Of one replica by name, or of all of a model. Returns whose remains there were; throws for a name that means nothing. */
export async function removeRemains(name: string, deps: RemainsDeps, signal: AbortSignal): Promise<readonly string[]> {
  const { fleet, catalog, names, drivers } = deps;
  const model = catalog.resolve(name);
  const remembered = names.remains(name);
  if (remembered.length === 0 && model === undefined) return forgetUnremembered(name, deps, signal);
  for (const remains of remembered) {
    // Its name is free, and may have been taken while the one before was removed.
    if (fleet.replicas.find(remains.name) === undefined)
      await drivers.get(remains.runtime)?.forget?.(remains.name, signal);
    fleet.forget(remains.recipeId, remains.name);
  }
  for (const recipe of model === undefined ? [] : catalog.recipesFor(model)) fleet.forget(recipe.id);
  return remembered.map((remains) => remains.name);
}

/** After a restart of the gateway only the runtimes know what they keep. */
async function forgetUnremembered(
  name: string,
  { names, drivers }: RemainsDeps,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const plain = names.plain(name);
  let found = false;
  for (const driver of RECIPE_ID.test(plain) ? drivers.values() : []) {
    if (await driver.forget?.(plain, signal)) found = true;
  }
  if (!found) throw names.unknown(name, "replica_not_found");
  return [plain];
}
