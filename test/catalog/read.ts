// Reads recipes from texts in tests, through the same door as files.
import { expect } from "vitest";
import type { Policy } from "../../src/catalog/policy.ts";
import { parseRecipeFile } from "../../src/catalog/recipe-file.ts";
import type { Recipe } from "../../src/catalog/recipe.ts";

export interface Reading {
  readonly file?: string | undefined;
  readonly policy?: Policy;
}

/** The recipes of a text that has to be right. */
export function recipesOf(text: string, reading: string | Reading = {}): readonly Recipe[] {
  const { file = "recipes/test.yaml", policy } = typeof reading === "string" ? { file: reading } : reading;
  const { recipes, problems } = parseRecipeFile(file, new TextEncoder().encode(text), policy);
  expect(problems).toEqual([]);
  return recipes;
}

export function recipeOf(text: string, reading?: string | Reading): Recipe {
  const [recipe] = recipesOf(text, reading);
  if (recipe === undefined) throw new Error("the text holds no recipe");
  return recipe;
}

/** The messages about a text that has to be wrong. */
export function problemsOf(text: string, file = "recipes/test.yaml"): readonly string[] {
  const { recipes, problems } = parseRecipeFile(file, new TextEncoder().encode(text));
  expect(recipes).toEqual([]);
  return problems.map((problem) => problem.message);
}
