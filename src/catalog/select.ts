// Which recipe and profile serve a request: pure, and every answer carries its reasons.
import type { Engine, ModelId, Precision, Profile, Recipe, RecipeId, RuntimeName } from "./recipe.ts";

/** What was asked for. Everything but `model` is an explicit wish, and an explicit wish is never silently replaced. */
export interface SelectRequest {
  readonly model: ModelId;
  readonly recipe?: RecipeId;
  readonly gpus?: number;
  readonly precision?: Precision;
  readonly engine?: Engine;
}

/** What one runtime offers right now. */
export interface RuntimeOffer {
  /** Why it cannot be used, e.g. "cannot reach Docker at /var/run/docker.sock"; absent when it can. */
  readonly unavailable?: string;
  /** False where the cluster's scheduler picks GPUs: then nothing is known about them here. */
  readonly knowsGpus: boolean;
  readonly gpus: readonly { readonly product: string; readonly free: boolean }[];
}

export interface Rejection {
  readonly recipe: RecipeId;
  readonly profile?: string;
  readonly why: string;
}

export type Selection =
  | {
      readonly kind: "selected";
      readonly recipe: Recipe;
      readonly profile: Profile;
      readonly runtime: RuntimeName;
      readonly reasons: readonly string[];
    }
  | { readonly kind: "ambiguous"; readonly recipes: readonly Recipe[]; readonly why: string }
  | { readonly kind: "rejected"; readonly rejections: readonly Rejection[]; readonly why: string };
