// The fingerprint of a recipe: equal when a replica started from either would be the same.
import { createHash } from "node:crypto";
import type { Recipe } from "./recipe.ts";

/** Long enough to tell recipes apart, short enough for a Kubernetes label (63 characters). */
const HASH_LENGTH = 32;

/**
 * Adds the hash of everything that shapes a replica; names, limits of the fleet, times of waiting and where it may run do
 * not. Absent fields leave no trace, so that a new kind of field restarts only the replicas of recipes that use it.
 */
export function withHash(recipe: Omit<Recipe, "hash">): Recipe {
  const { model, engine, runtime, image, command, precision, resources, mounts, capabilities, network } = recipe;
  const text = canonicalJson({
    model,
    engine,
    runtime,
    image,
    command,
    precision,
    resources,
    profiles: recipe.profiles.map(({ id, gpus, args, env, gpuFraction }) => ({ id, gpus, args, env, gpuFraction })),
    // When it sleeps, and how deeply, is told to an engine that runs; that it can is told to one that starts.
    sleeps: recipe.sleep === undefined ? undefined : true,
    mounts: mounts.length > 0 ? mounts : undefined,
    capabilities: capabilities.length > 0 ? capabilities : undefined,
    network: network === "own" ? undefined : network,
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
