// What the readers of both recipe formats have in common.
import type { Recipe } from "./recipe.ts";
import type { Finding } from "../lib/yaml-source.ts";

/** What a file yields: its recipes, or everything that is wrong with it. */
export interface Reading {
  readonly recipes: readonly Recipe[];
  readonly findings: readonly Finding[];
}

/** "4_gpu" → 4 */
export function gpuCount(profileId: string): number {
  return Number.parseInt(profileId, 10);
}
