// Which recipe owns which name, when several files claim one.
import type { Recipe } from "./recipe.ts";
import type { RecipeProblem } from "./recipe-file.ts";

/**
 * Of two recipes with one id the first read stays. A model keeps its name against any alias, and an alias stays with the
 * model that claimed it first. What loses is left out, and is a problem that names both files.
 */
export function settleNames(read: readonly Recipe[]): {
  readonly recipes: readonly Recipe[];
  readonly problems: readonly RecipeProblem[];
} {
  const problems: RecipeProblem[] = [];
  const report = (loser: Recipe, message: string) =>
    problems.push({ file: loser.file, message: `${loser.file}: ${message}` });
  const byId = new Map<string, Recipe>();
  for (const recipe of read) {
    const first = byId.get(recipe.id);
    if (first === undefined) byId.set(recipe.id, recipe);
    else report(recipe, `the recipe id "${recipe.id}" is taken by ${first.file}; give one of them another "id"`);
  }
  const kept = [...byId.values()];
  const owners = new Map(kept.map((recipe) => [recipe.model, recipe]));
  const keepAlias = (alias: string, claimant: Recipe) => {
    const owner = owners.get(alias);
    if (owner === undefined) owners.set(alias, claimant);
    if (owner === undefined || owner.model === claimant.model) return true;
    const what = owner.model === alias ? "the name" : "an alias";
    report(
      claimant,
      `the alias "${alias}" is ${what} of the model ${owner.model} in ${owner.file}; it is ignored here`,
    );
    return false;
  };
  const recipes = kept.map((recipe) => ({
    ...recipe,
    aliases: recipe.aliases.filter((alias) => keepAlias(alias, recipe)),
  }));
  return { recipes, problems };
}
