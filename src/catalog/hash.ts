// The fingerprint of a recipe: equal when a replica started from either would be the same.
import { createHash } from "node:crypto";
import type { Recipe } from "./recipe.ts";

/** Long enough to tell recipes apart, short enough for a Kubernetes label (63 characters). */
const HASH_LENGTH = 32;

/** Adds the hash of everything that shapes a replica; names, limits of the fleet and times of waiting do not. */
export function withHash(recipe: Omit<Recipe, "hash">): Recipe {
  const { model, engine, runtime, image, command, precision, resources, mounts, capabilities, network } = recipe;
  const profiles = recipe.profiles.map(({ id, gpus, args, env }) => ({ id, gpus, args, env }));
  const text = canonicalJson({
    ...{ model, engine, runtime, image, command, precision, resources, profiles },
    ...{ mounts, capabilities, network },
  });
  return { ...recipe, hash: createHash("sha256").update(text).digest("hex").slice(0, HASH_LENGTH) };
}

/** JSON whose keys are sorted at every level, so that the order in a file does not matter. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
