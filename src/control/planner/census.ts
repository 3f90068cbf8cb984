// Who is there, by model, by recipe and by name: the indexes that a plan looks things up in.
import type { Recipe } from "../../catalog/recipe.ts";
import { isStarting } from "../replica.ts";
import { isLive, type FleetSnapshot, type ReplicaSnapshot } from "../snapshot.ts";

const NOBODY: readonly ReplicaSnapshot[] = [];
const NOTHING: readonly Recipe[] = [];

const recipesByModel = new WeakMap<readonly Recipe[], ReadonlyMap<string, readonly Recipe[]>>();

/** Of one plan: those that it sends away leave it, and those that it wakes count as live. */
export class Census {
  readonly #byModel: ReadonlyMap<string, readonly ReplicaSnapshot[]>;
  readonly #recipes: ReadonlyMap<string, readonly Recipe[]>;
  readonly #gone = new Set<ReplicaSnapshot>();
  readonly #woken = new Set<ReplicaSnapshot>();
  /** Replicas that load, those that this plan starts among them. */
  loading = 0;

  constructor({ replicas, recipes }: FleetSnapshot) {
    const byModel = new Map<string, ReplicaSnapshot[]>();
    for (const replica of replicas) {
      const alike = byModel.get(replica.model);
      if (alike === undefined) byModel.set(replica.model, [replica]);
      else alike.push(replica);
      if (isStarting(replica.state)) this.loading += 1;
    }
    this.#byModel = byModel;
    this.#recipes = recipesByModel.get(recipes) ?? Map.groupBy(recipes, ({ model }) => model);
    recipesByModel.set(recipes, this.#recipes);
  }

  recipesOf(model: string): readonly Recipe[] {
    return this.#recipes.get(model) ?? NOTHING;
  }

  ofModel(model: string): readonly ReplicaSnapshot[] {
    return this.#byModel.get(model) ?? NOBODY;
  }

  /** Replicas of the recipe that serve or will. */
  live({ id, model }: Pick<Recipe, "id" | "model">): readonly ReplicaSnapshot[] {
    return this.ofModel(model).filter((replica) => replica.recipeId === id && this.isLive(replica));
  }

  /** The replicas that a recipe's minimum keeps: those that serve, the busiest and those used last before the others. */
  minimumOf(recipe: Recipe): readonly ReplicaSnapshot[] {
    const serves = ({ state }: ReplicaSnapshot) => Number(state === "ready");
    return this.live(recipe)
      .filter(({ stale }) => !stale)
      .sort(
        (a, b) =>
          serves(b) - serves(a) ||
          b.inFlight - a.inFlight ||
          b.idleSince - a.idleSince ||
          // Of equals the eldest, whose caches are the warmest.
          a.readyAt - b.readyAt,
      )
      .slice(0, recipe.replicas.min);
  }

  /** Whether requests of the model only have to wait for what is there: a start under way, or a slot on a busy replica. */
  isComing(model: string): boolean {
    return this.ofModel(model).some((replica) => this.isLive(replica));
  }

  isLive(replica: ReplicaSnapshot): boolean {
    return (isLive(replica) || this.#woken.has(replica)) && !this.#gone.has(replica);
  }

  /** Those that sleep, the one that was used last first. */
  sleepers(model: string): readonly ReplicaSnapshot[] {
    return this.ofModel(model)
      .filter((replica) => replica.state === "sleeping" && !replica.stale && !this.#hasMoved(replica))
      .sort((a, b) => b.idleSince - a.idleSince);
  }

  #hasMoved(replica: ReplicaSnapshot): boolean {
    return this.#gone.has(replica) || this.#woken.has(replica);
  }

  isGone(replica: ReplicaSnapshot): boolean {
    return this.#gone.has(replica);
  }

  /** It is woken by this plan. */
  rouse(replica: ReplicaSnapshot): void {
    this.#woken.add(replica);
  }

  sendAway(replica: ReplicaSnapshot): void {
    if (isStarting(replica.state)) this.loading -= 1;
    this.#gone.add(replica);
  }
}
