// The GPUs of a runtime by kind, and which kinds suit a recipe. What only depends on the inventory and on recipes is worked out
// once, not with every plan.
import type { Profile, Recipe } from "../../catalog/recipe.ts";
import { likenessOf, matchesHardware, kindName } from "../../catalog/select.ts";
import type { Gpu } from "../../runtime/driver.ts";

/** GPUs that are alike, of one inventory, by their ids. */
export interface Kind {
  /** "MI300X CPX/NPS4" */
  readonly name: string;
  readonly likeness: string;
  readonly gpus: readonly Gpu[];
}

const kindsByInventory = new WeakMap<readonly Gpu[], readonly Kind[]>();
const suitsByRecipe = new WeakMap<Recipe, Map<string, boolean>>();
const memoryByProfile = new WeakMap<Profile, number>();

/** What vLLM takes of a GPU's memory unless it is told otherwise. */
const USUAL_MEMORY_SHARE = 0.9;

export function kindsOf(gpus: readonly Gpu[]): readonly Kind[] {
  const known = kindsByInventory.get(gpus);
  if (known !== undefined) return known;
  const kinds = [...Map.groupBy(gpus, likenessOf)].map(([likeness, alike]) => ({
    name: alike[0] === undefined ? "" : kindName(alike[0]),
    likeness,
    gpus: alike.toSorted((a, b) => byNumber.compare(a.id, b.id)),
  }));
  kindsByInventory.set(gpus, kinds);
  return kinds;
}

/** renderD9 comes before renderD10. */
const byNumber = new Intl.Collator("en", { numeric: true });

/** Whether GPUs of that kind are what the recipe asks for. */
export function isSuitable(recipe: Recipe, { likeness, gpus: [first] }: Kind): boolean {
  const suits = suitsByRecipe.get(recipe) ?? new Map<string, boolean>();
  suitsByRecipe.set(recipe, suits);
  const known = suits.get(likeness);
  if (known !== undefined) return known;
  const suitable = first !== undefined && matchesHardware(recipe, first);
  suits.set(likeness, suitable);
  return suitable;
}

/** Share of the memory of each of its GPUs that a replica of the profile takes when it has them for itself. */
export function memoryShareOf(profile: Profile): number {
  const known = memoryByProfile.get(profile);
  if (known !== undefined) return known;
  const at = profile.args.indexOf("--gpu-memory-utilization");
  const told = at < 0 ? NaN : Number(profile.args[at + 1]);
  const share = told > 0 && told <= 1 ? told : USUAL_MEMORY_SHARE;
  memoryByProfile.set(profile, share);
  return share;
}
