// What a replica is made from, or was found with.
import type { Profile, Recipe } from "../../catalog/recipe.ts";
import type { BackendRef } from "../../runtime/driver.ts";

/** What a replica is made from. Absent for an adopted one whose recipe is no longer in the catalogue. */
export interface Blueprint {
  readonly recipe: Recipe | undefined;
  readonly profile: Profile | undefined;
}

export function blueprintOf(recipe: Recipe | undefined, profileId: string): Blueprint {
  return { recipe, profile: recipe?.profiles.find(({ id }) => id === profileId) };
}

/** What a list showed of a replica that already runs. */
export interface FoundReplica {
  readonly ref: BackendRef;
  /** Absent: it holds its GPUs, but cannot serve. */
  readonly address: URL | undefined;
  /** Milliseconds since the Unix epoch. */
  readonly startedAt: number | undefined;
}
