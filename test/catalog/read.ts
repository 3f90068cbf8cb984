// Reads recipes from texts in tests, through the same door as files.
import { expect } from "vitest";
import { parseRecipeFile } from "../../src/catalog/recipe-file.ts";
import type { Recipe } from "../../src/catalog/recipe.ts";

/** The recipes of a text that has to be right. */
export function recipesOf(text: string, file = "recipes/test.yaml"): readonly Recipe[] {
  const { recipes, problems } = parseRecipeFile(file, new TextEncoder().encode(text));
  expect(problems).toEqual([]);
  return recipes;
}

export function recipeOf(text: string, file?: string): Recipe {
  const [recipe] = recipesOf(text, file);
  if (recipe === undefined) throw new Error("the text holds no recipe");
  return recipe;
}

/** The messages about a text that has to be wrong. */
export function problemsOf(text: string, file = "recipes/test.yaml"): readonly string[] {
  const { recipes, problems } = parseRecipeFile(file, new TextEncoder().encode(text));
  expect(recipes).toEqual([]);
  return problems.map((problem) => problem.message);
}
