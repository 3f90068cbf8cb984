// Starting a replica again as it was: what it takes, and why it may not be possible. Nothing is stopped that could not be started.
import type { Catalog } from "../../catalog/catalog.ts";
import { AimError } from "../../errors.ts";
import type { Fleet } from "../fleet.ts";
import type { LaunchOrder } from "../fleet/orders.ts";
import { wishOf } from "../fleet/wanted.ts";
import type { Replica, ReplicaState } from "../replica.ts";

export interface RestartContext {
  readonly fleet: Fleet;
  readonly catalog: Catalog;
}

/** An order for one like it, in a fleet that has lost it. Throws `conflict` where that cannot be. */
export function orderLike(replica: Replica, { fleet, catalog }: RestartContext): LaunchOrder {
  const { name, model, keepAliveMs } = replica;
  const { recipeId, profileId, runtime } = replica.identity;
  const recipe = catalog.recipe(recipeId);
  const profile = recipe?.profiles.find(({ id }) => id === profileId);
  if (recipe === undefined || recipe.model !== model || profile === undefined) {
    const lost = recipe?.model === model ? `profile ${profileId} of its recipe ${recipeId}` : `its recipe ${recipeId}`;
    const remedy = `put it back, or stop ${name} and launch ${model} anew`;
    throw new AimError("conflict", `${name} cannot be started again: ${lost} is gone; ${remedy}`);
  }
  const away = fleet.machines.runtimes.get(runtime)?.unavailable;
  if (away !== undefined) {
    throw new AimError("runtime_unavailable", `${name} is left as it is, since it could not be started again: ${away}`);
  }
  const alike = fleet.replicas.ofModel(model).filter((other) => isAlike(other, replica));
  return {
    request: { model, recipe: recipeId, gpus: profile.gpus },
    // It counts itself, be it on its way out already; and as it was there, it may be there again.
    atLeast: alike.length + 1,
    ...wishOf(replica),
    ...(keepAliveMs === undefined ? {} : { keepAliveMs }),
  };
}

const RESTING: readonly ReplicaState[] = ["dozing", "sleeping", "waking"];

/** Another one that an order for this one would be met by, now or once it is what it is about to be. */
function isAlike(other: Replica, replica: Replica): boolean {
  const [some, its] = [other.identity, replica.identity];
  return (
    other !== replica &&
    (other.isStarting || other.isServing || RESTING.includes(other.state)) &&
    some.recipeId === its.recipeId &&
    some.profileId === its.profileId &&
    JSON.stringify(some.flags ?? []) === JSON.stringify(its.flags ?? [])
  );
}
