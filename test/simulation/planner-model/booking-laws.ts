// Of GPUs: what a plan gives out is there to be given, and nobody's measuring is disturbed by it.
import type { Recipe } from "../../../src/catalog/recipe.ts";
import { likenessOf, matchesHardware } from "../../../src/catalog/select.ts";
import { gpuKey } from "../../../src/control/fleet/gpus.ts";
import { memoryShareOf } from "../../../src/control/planner/supply.ts";
import type { FleetSnapshot, ReplicaSnapshot } from "../../../src/control/snapshot.ts";
import { isRoomFor, type Newcomer } from "./booking.ts";
import { isGoing, isMeasuring, type Scene } from "./scene.ts";

/** Somebody who gets GPUs by the plan. */
interface Arrival extends Newcomer {
  readonly name: string;
  readonly gpus: readonly string[];
  /** Who sleeps there, and is woken. */
  readonly was?: ReplicaSnapshot;
}

export function bookingBreaches(scene: Scene): string[] {
  const { snapshot } = scene;
  const arrivals = arrivalsOf(scene);
  return [
    ...arrivals.flatMap((one, index) => roomBreaches(one, arrivals.slice(0, index), snapshot)),
    ...quietBreaches(scene, arrivals),
    ...scene.plan.actions.flatMap((action) =>
      action.kind === "start"
        ? suitBreaches(action.recipe, action.gpus, { wanted: action.profile.gpus, snapshot })
        : [],
    ),
  ];
}

function arrivalsOf({ snapshot, plan }: Scene): readonly Arrival[] {
  return plan.actions.flatMap((action): Arrival[] => {
    if (action.kind === "start") {
      const { recipe, profile, gpus } = action;
      const share = profile.gpuFraction ?? 1;
      return [
        {
          name: `the start of ${recipe.id}`,
          gpus,
          state: "pending",
          share,
          residualShare: 0,
          memory: memoryShareOf(profile),
        },
      ];
    }
    const was = action.kind === "wake" ? snapshot.replicas.find(({ name }) => name === action.replica) : undefined;
    if (was === undefined) return [];
    const recipe = snapshot.recipes.find(({ id }) => id === was.recipeId);
    const profile = recipe?.profiles.find(({ id }) => id === was.profileId);
    return [{ ...was, state: "waking", was, memory: profile === undefined ? 1 : memoryShareOf(profile) }];
  });
}

/** On each of its GPUs there is room for it, beside all who are there and those who got some of it before. */
function roomBreaches(one: Arrival, earlier: readonly Arrival[], { replicas, blocks }: FleetSnapshot): string[] {
  return one.gpus.flatMap((gpu) => {
    if (blocks.has(gpuKey("docker", gpu))) return [`${one.name} gets ${gpu}, which is blocked`];
    const before = earlier.filter(({ gpus }) => gpus.includes(gpu));
    const there = replicas.filter((other) => other.gpus.includes(gpu) && other !== one.was);
    const beds = there.filter((other) => !before.some(({ was }) => was === other));
    return isRoomFor(one, [...beds, ...before]) ? [] : [`${one.name} gets ${gpu}, where there is no room for it`];
  });
}

/** On a shared GPU nobody comes or goes while another one measures it. */
function quietBreaches({ snapshot, plan }: Scene, arrivals: readonly Arrival[]): string[] {
  const leaving = plan.actions.flatMap((action) =>
    action.kind === "stop" || action.kind === "sleep" ? [action.replica] : [],
  );
  const isLeaving = (one: ReplicaSnapshot) => leaving.includes(one.name);
  const disturbed = arrivals.flatMap(({ name, gpus, share, was }) => {
    const beside = snapshot.replicas.filter((other) => other !== was && gpus.some((gpu) => other.gpus.includes(gpu)));
    return beside
      .filter((other) => isLeaving(other) || (share < 1 && (isMeasuring(other) || isGoing(other))))
      .map((other) => `${name} comes beside ${other.name}, which is ${isLeaving(other) ? "leaving" : other.state}`);
  });
  const measuring = snapshot.replicas.filter((one) => isMeasuring(one) && !isLeaving(one));
  const disturbers = snapshot.replicas
    .filter((one) => isLeaving(one))
    .flatMap((one) => {
      const beside = measuring.filter((other) => other !== one && other.gpus.some((gpu) => one.gpus.includes(gpu)));
      return beside.map((other) => `${one.name} goes beside ${other.name}, which is ${other.state}`);
    });
  return [...disturbed, ...disturbers];
}

function suitBreaches(
  recipe: Recipe,
  ids: readonly string[],
  { wanted, snapshot }: { readonly wanted: number; readonly snapshot: FleetSnapshot },
): string[] {
  const all = snapshot.runtimes.get("docker")?.gpus ?? [];
  const gpus = all.filter(({ id }) => ids.includes(id));
  return [
    ...(gpus.length === wanted && ids.length === wanted
      ? []
      : [`${recipe.id} gets ${ids.length} GPUs instead of ${wanted}`]),
    ...(gpus.every((gpu) => matchesHardware(recipe, gpu)) ? [] : [`${recipe.id} gets GPUs that do not suit it`]),
    ...(new Set(gpus.map(likenessOf)).size > 1 ? [`${recipe.id} gets GPUs that are not alike`] : []),
  ];
}
