// Builders: valid values with only what a test cares about spelt out.
import type { Profile, Recipe } from "../../src/catalog/recipe.ts";
import type { Gpu } from "../../src/runtime/driver.ts";

export function makeProfile(gpus: number, overrides: Partial<Profile> = {}): Profile {
  return { id: `${gpus}_gpu`, gpus, args: [], env: {}, isDefault: true, ...overrides };
}

/** A sim recipe for the docker runtime; `gpus` gives it one profile of that many. */
export function makeRecipe(overrides: Partial<Recipe> & { readonly gpus?: number } = {}): Recipe {
  const { gpus = 0, ...rest } = overrides;
  const id = rest.id ?? "tiny";
  return {
    id,
    file: `${id}.yaml`,
    hash: `hash of ${id}`,
    model: id,
    aliases: [],
    engine: "sim",
    runtime: "docker",
    image: "sim:latest",
    hardware: [],
    profiles: [makeProfile(gpus)],
    replicas: { min: 0, max: 1 },
    resources: {},
    mounts: [],
    capabilities: [],
    network: "own",
    ...rest,
  };
}

export function makeGpus(count: number, product = "MI300X"): readonly Gpu[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `0000:${(index + 1).toString(16).padStart(2, "0")}:00.0`,
    vendor: "amd",
    product,
    memoryBytes: 192 * 2 ** 30,
  }));
}
