// Of room, for one demand alone, which can be told exactly: no more have to go than needed, nobody waits where those whom nobody
// uses would make room, and nobody is turned away whom they could be made to make room for in the end.
import type { Profile, Recipe } from "../../../src/catalog/recipe.ts";
import { likenessOf, matchesHardware } from "../../../src/catalog/select.ts";
import { gpuKey } from "../../../src/control/fleet/gpus.ts";
import { memoryShareOf } from "../../../src/control/planner/supply.ts";
import { isLeaving } from "../../../src/control/replica.ts";
import type { Demand, ReplicaSnapshot } from "../../../src/control/snapshot.ts";
import { isRoomFor } from "./booking.ts";
import { isKept, isMeasuring, isUsed, type Scene } from "./scene.ts";

const MINUTE = 60_000;

export function roomBreaches(demand: Demand, scene: Scene): string[] {
  const aim = aimOf(demand, scene);
  if (aim === undefined) return [];
  return [
    ...spareBreaches(demand, aim, scene),
    ...idleWaitBreaches(demand, aim, scene),
    ...refusalBreaches(demand, aim, scene),
  ];
}

interface Aim {
  readonly recipe: Recipe;
  readonly profile: Profile;
  readonly on: readonly string[] | undefined;
}

/** What it would be started as; not said of what sleeps, or of models that there is a choice of profiles for. */
function aimOf({ request, wish, kind }: Demand, { snapshot }: Scene): Aim | undefined {
  const recipe = snapshot.recipes.find(({ model }) => model === request.model);
  const [profile, ...others] = recipe?.profiles ?? [];
  const sleeps = snapshot.replicas.some(
    ({ model, state }) => model === request.model && (state === "sleeping" || state === "dozing"),
  );
  if (recipe === undefined || profile === undefined || others.length > 0 || sleeps) return undefined;
  if (kind === "wanted" || wish?.atLeast !== undefined) return undefined;
  return { recipe, profile, on: wish?.on };
}

/** Whether it fits, then or later, when those are gone. */
function fitsWithout(
  gone: (replica: ReplicaSnapshot) => boolean,
  { recipe, profile, on }: Aim,
  { snapshot }: Scene,
): boolean {
  const gpus = (snapshot.runtimes.get("docker")?.gpus ?? []).filter(
    (gpu) => matchesHardware(recipe, gpu) && (on === undefined || on.includes(gpu.id)) && !isBlockedForGood(gpu.id),
  );
  function isBlockedForGood(gpu: string): boolean {
    const block = snapshot.blocks.get(gpuKey("docker", gpu));
    return block !== undefined && block.status !== "recovering";
  }
  const one = {
    state: "pending",
    share: profile.gpuFraction ?? 1,
    residualShare: 0,
    memory: memoryShareOf(profile),
  } as const;
  const staying = snapshot.replicas.filter((other) => !gone(other));
  const fitting = gpus.filter(({ id }) =>
    isRoomFor(
      one,
      staying.filter((other) => other.gpus.includes(id)),
    ),
  );
  return (
    [...Map.groupBy(fitting, likenessOf).values()].some(({ length }) => length >= profile.gpus) || profile.gpus === 0
  );
}

/** Those who go of their own accord. */
function departed({ snapshot, plan, now }: Scene): ReadonlySet<ReplicaSnapshot> {
  const sent = plan.actions.flatMap((action) => {
    if (action.kind === "stop") return action.demand === undefined ? [action.replica] : [];
    return action.kind === "sleep" && action.demand === undefined ? [action.replica] : [];
  });
  return new Set(
    snapshot.replicas.filter(
      (one) =>
        sent.includes(one.name) ||
        (!one.stuck && (one.state === "dozing" || (isLeaving(one.state) && !isEndless(one)))),
    ),
  );
  function isEndless({ state, stateSince }: ReplicaSnapshot): boolean {
    return state === "draining" && now - stateSince >= snapshot.policy.maxWaitMs;
  }
}

/** None of those sent away for it could have stayed, and they are enough. */
function spareBreaches(demand: Demand, aim: Aim, scene: Scene): string[] {
  const names = scene.plan.actions.flatMap((action) =>
    (action.kind === "stop" || action.kind === "sleep") && action.demand?.id === demand.id ? [action.replica] : [],
  );
  if (names.length === 0) return [];
  const gone = departed(scene);
  const isGone = (spared?: string) => (one: ReplicaSnapshot) =>
    gone.has(one) || (names.includes(one.name) && one.name !== spared);
  // A load that went on would be disturbed by another one of them that goes beside it.
  const going = scene.snapshot.replicas.filter(({ name }) => names.includes(name));
  const isInTheWay = (name: string) =>
    going.some(
      (one) =>
        one.name === name &&
        isMeasuring(one) &&
        going.some((other) => other !== one && other.gpus.some((gpu) => one.gpus.includes(gpu))),
    );
  return [
    ...(fitsWithout(isGone(), aim, scene) ? [] : [`that ${names.join(", ")} go is not enough for ${demand.id}`]),
    ...names
      .filter((name) => !isInTheWay(name) && fitsWithout(isGone(name), aim, scene))
      .map((name) => `${name} need not go for ${demand.id}`),
  ];
}

/** Who has not been used for a while, is not likely to be asked for soon and is kept by nobody goes at once. */
function idleWaitBreaches(demand: Demand, aim: Aim, scene: Scene): string[] {
  const why = scene.plan.holds.get(demand.id)?.why;
  if (why !== "busy" && why !== "resident") return [];
  const gone = departed(scene);
  const { snapshot, now } = scene;
  const isWilling = (one: ReplicaSnapshot) => {
    const min = snapshot.recipes.find(({ id }) => id === one.recipeId)?.replicas.min ?? 0;
    const back = one.sleep === undefined ? one.loadMs : Math.min(5_000, one.loadMs);
    const isQuiet =
      (one.state === "ready" || one.state === "sleeping") &&
      !isUsed(one) &&
      one.heat * back < MINUTE &&
      now - Math.max(one.idleSince, one.stateSince) >= MINUTE;
    return isQuiet && min === 0 && !isKept(one, scene) && !isBesideMeasuring(one, scene);
  };
  const fits = fitsWithout((one) => gone.has(one) || isWilling(one), aim, scene);
  return fits ? [`${demand.id} waits (${why}), although those whom nobody uses would make room`] : [];
}

function isBesideMeasuring(one: ReplicaSnapshot, { snapshot }: Scene): boolean {
  return snapshot.replicas.some(
    (other) => other !== one && isMeasuring(other) && other.gpus.some((gpu) => one.gpus.includes(gpu)),
  );
}

/** It is refused for want of room only where those who are kept leave too little. */
function refusalBreaches(demand: Demand, aim: Aim, scene: Scene): string[] {
  const { snapshot, plan } = scene;
  const refused = plan.actions.find((action) => action.kind === "refuse");
  if (refused?.kind !== "refuse" || !/are kept by/.test(refused.reason)) return [];
  const most = fitsWithout((one) => !isKept(one, scene) && !isOfMinimum(one), aim, scene);
  return most ? [`${demand.id} is refused, although there can be room for it: ${refused.reason}`] : [];
  function isOfMinimum({ recipeId }: ReplicaSnapshot): boolean {
    return (snapshot.recipes.find(({ id }) => id === recipeId)?.replicas.min ?? 0) > 0;
  }
}
