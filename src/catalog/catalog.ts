// The catalogue: every recipe that could be read, found by model, alias or id, and what is wrong with the others.
import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { AimError, messageOf, codeOf } from "../errors.ts";
import { settleNames } from "./name-conflicts.ts";
import { nearest } from "../lib/nearest.ts";
import { STRICT_POLICY, type Policy } from "./policy.ts";
import type { ModelId, Recipe, RecipeId } from "./recipe.ts";
import { parseRecipeFile, type RecipeFile, type RecipeProblem } from "./recipe-file.ts";
import { MAX_YAML_BYTES } from "../lib/yaml-source.ts";

/** A model and its other names. */
export interface CatalogModel {
  readonly model: ModelId;
  readonly aliases: readonly string[];
}

/** Built once from what was read, then immutable. Names are exact: case counts. */
export class Catalog {
  readonly recipes: readonly Recipe[];
  readonly problems: readonly RecipeProblem[];
  readonly #byId: ReadonlyMap<RecipeId, Recipe>;
  readonly #byModel: ReadonlyMap<ModelId, readonly Recipe[]>;
  /** From every model and alias to the model. */
  readonly #models: ReadonlyMap<string, ModelId>;

  constructor(recipes: readonly Recipe[], problems: readonly RecipeProblem[] = []) {
    const settled = settleNames(recipes);
    this.recipes = settled.recipes;
    this.problems = [...problems, ...settled.problems];
    this.#byId = new Map(this.recipes.map((recipe) => [recipe.id, recipe]));
    this.#byModel = Map.groupBy(this.recipes, (recipe) => recipe.model);
    this.#models = new Map(
      this.recipes.flatMap((recipe) => [recipe.model, ...recipe.aliases].map((name) => [name, recipe.model])),
    );
  }

  /** The model that a client means by a name or an alias. */
  resolve(name: string): ModelId | undefined {
    return this.#models.get(name);
  }

  recipesFor(model: ModelId): readonly Recipe[] {
    return this.#byModel.get(model) ?? [];
  }

  recipe(id: RecipeId): Recipe | undefined {
    return this.#byId.get(id);
  }

  models(): readonly CatalogModel[] {
    return [...this.#byModel].map(([model, recipes]) => ({
      model,
      aliases: [...new Set(recipes.flatMap((recipe) => recipe.aliases))],
    }));
  }

  /** The name that an unknown one was most likely meant to be; people often leave out the part before the slash. */
  nearest(name: string): string | undefined {
    const meant = new Map(
      [...this.#models.keys()].flatMap((known) => [
        [lastPart(known), known],
        [known, known],
      ]),
    );
    const best = nearest(name, meant.keys());
    return best === undefined ? undefined : meant.get(best);
  }
}

export interface CatalogOptions {
  /** What recipes may ask for; nothing out of the ordinary when absent. */
  readonly policy?: Policy;
}

/**
 * Reads every *.yaml and *.yml of the folders. A file that is no recipe, or asks for more than the policy allows, is a
 * problem; a folder that cannot be read is an error.
 */
export async function loadCatalog(
  folders: readonly string[],
  { policy = STRICT_POLICY }: CatalogOptions = {},
): Promise<Catalog> {
  const files = (await Promise.all([...new Set(folders)].map(recipeFiles))).flat();
  const read = await Promise.all(files.map((file) => readRecipeFile(file, policy)));
  return new Catalog(
    read.flatMap((file) => file.recipes),
    read.flatMap((file) => file.problems),
  );
}

/** Sorted, so that the order never depends on the machine; hidden files belong to editors and mounts. */
async function recipeFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    const message = `cannot read the recipe folder ${folder} (${codeOf(error) ?? messageOf(error)}); create it, or correct "recipes" in the configuration`;
    throw new AimError("invalid_config", message, { cause: error });
  });
  const recipes = names.filter((name) => /^[^.].*\.ya?ml$/i.test(name));
  return recipes.sort().map((name) => join(folder, name));
}

async function readRecipeFile(file: string, policy: Policy): Promise<RecipeFile> {
  try {
    return parseRecipeFile(file, await readStart(file, MAX_YAML_BYTES + 1), policy);
  } catch (error) {
    return {
      recipes: [],
      problems: [{ file, message: `${file}: cannot be read (${codeOf(error) ?? messageOf(error)})` }],
    };
  }
}

/** Never the whole of a file that is something else, such as a disk image. */
async function readStart(file: string, bytes: number): Promise<Uint8Array> {
  await using handle = await open(file);
  const { buffer, bytesRead } = await handle.read(new Uint8Array(bytes), 0, bytes, 0);
  return buffer.subarray(0, bytesRead);
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf("/") + 1);
}
