// How long a start usually takes, learned from the last ones. Kept in memory: losing it only costs precision.

const KEPT = 5;

export class Estimates {
  readonly #byRecipe = new Map<string, number[]>();

  /** A start of the recipe took this long from the decision to ready. */
  record(recipeId: string, durationMs: number): void {
    this.#byRecipe.set(recipeId, [...(this.#byRecipe.get(recipeId) ?? []), durationMs].slice(-KEPT));
  }

  /** Median of the last starts in ms; undefined before the first. */
  startMs(recipeId: string): number | undefined {
    const sorted = (this.#byRecipe.get(recipeId) ?? []).toSorted((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)];
  }
}
