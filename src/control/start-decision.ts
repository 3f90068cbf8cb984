// What the planner decided to start, and the identity of the replica that this makes.
import type { Profile, Recipe, RuntimeName } from "../catalog/recipe.ts";
import type { Wish } from "./fleet/wish.ts";
import type { StartReason } from "./planner/why.ts";
import type { ReplicaIdentity } from "./replica.ts";

/** What the planner decided to start. */
export interface StartDecision {
  readonly recipe: Recipe;
  readonly profile: Profile;
  readonly runtime: RuntimeName;
  readonly gpus: readonly string[];
  /** The demand it is for. */
  readonly demand?: {
    readonly id: string;
    readonly kind: "requests" | "order" | "wanted";
    readonly why: StartReason;
    readonly wish?: Wish;
  };
}

/** The replica that it will be, under this name. */
export function identityOfStart(start: StartDecision, name: string): ReplicaIdentity {
  const { recipe, profile, runtime, gpus, demand } = start;
  const { keepAliveMs, flags = [], pinned, ...wish } = demand?.wish ?? {};
  const chosen = [
    ...(wish.name === undefined ? [] : (["name"] as const)),
    ...(wish.on === undefined ? [] : (["gpus"] as const)),
  ];
  return {
    name,
    model: recipe.model,
    recipeId: recipe.id,
    recipeHash: recipe.hash,
    profileId: profile.id,
    runtime,
    gpus,
    adopted: false,
    ...(keepAliveMs === undefined ? {} : { keepAliveMs }),
    ...(flags.length === 0 ? {} : { flags }),
    ...(chosen.length === 0 ? {} : { chosen }),
    ...(profile.gpuFraction === undefined ? {} : { gpuFraction: profile.gpuFraction }),
    // What takes the place of one that an operator wanted is as wanted as that was.
    ...((demand?.kind === "order" || demand?.why === "replacement") && { launched: true }),
    ...(pinned && { pinned }),
  };
}
