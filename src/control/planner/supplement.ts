// Replicas that nobody waits for: the minimum of a recipe, and as many as there is work for.
import { select } from "../../catalog/select.ts";
import type { Recipe } from "../../catalog/recipe.ts";
import type { Demand, ReplicaSnapshot, ScaleTarget } from "../snapshot.ts";
import type { Draft, Purpose } from "./draft.ts";
import { makeRoom } from "./room.ts";

/** `replicas.min` of a recipe is demand that never ends, but never evicts. */
export function keepMinimum(draft: Draft): void {
  for (const recipe of draft.snapshot.recipes) {
    const { min } = recipe.replicas;
    if (min === 0 || draft.isStarting(recipe.model) || draft.census.live(recipe).length >= min) continue;
    const sleeper = draft.census.sleepers(recipe.model).find(({ recipeId }) => recipeId === recipe.id);
    const purpose: Purpose = { why: "minimum", reason: `the recipe keeps at least ${min} running` };
    if (sleeper === undefined || !wakeInPlace(sleeper, purpose, draft)) startMore(recipe, purpose, draft);
  }
}

/** More where those that run have too much to do, fewer where fewer have been enough. */
export function scale(draft: Draft): void {
  for (const [model, target] of draft.snapshot.scale) {
    const live = draft.census.ofModel(model).filter((replica) => draft.census.isLive(replica));
    const [first] = live;
    if (first === undefined || draft.isStarting(model)) continue;
    if (live.length < target.replicas) scaleOut(first, target, draft);
    else if (live.length > target.replicas) scaleIn(live, target, draft);
  }
}

/** One at a time: what it changes is seen before the next. */
function scaleOut(alike: ReplicaSnapshot, target: ScaleTarget, draft: Draft): void {
  const recipe = draft.census.recipesOf(alike.model).find(({ id }) => id === alike.recipeId);
  if (recipe === undefined || draft.census.live(recipe).length >= recipe.replicas.max) return;
  // It can be woken only when it sleeps.
  if (draft.census.ofModel(alike.model).some(({ state }) => state === "dozing")) return;
  const purpose: Purpose = { why: "scale out", reason: target.reason };
  const [sleeper] = draft.census.sleepers(alike.model);
  if (sleeper !== undefined && wakeInPlace(sleeper, purpose, draft)) return;
  startMore(recipe, purpose, draft, alike.profileId);
}

/** The one that has least to finish; of equals the youngest, whose caches are the coldest. */
function scaleIn(live: readonly ReplicaSnapshot[], target: ScaleTarget, draft: Draft): void {
  const [spare] = live
    .filter((replica) => replica.state === "ready" && !replica.launched && !draft.isKept(replica))
    .sort((a, b) => a.inFlight - b.inFlight || b.readyAt - a.readyAt);
  if (spare !== undefined && !draft.isAway(spare) && !draft.ledger.isBesideLoad(spare))
    draft.stop(spare, "scaled in", target.reason);
}

function wakeInPlace(sleeper: ReplicaSnapshot, purpose: Purpose, draft: Draft): boolean {
  const bed = draft.bedOf(sleeper);
  if (bed === undefined || draft.isAway(sleeper) || draft.ledger.find(bed) === undefined) return false;
  draft.wake(sleeper, purpose);
  return true;
}

function startMore(recipe: Recipe, purpose: Purpose, draft: Draft, profileId?: string): void {
  const { snapshot, now, ledger } = draft;
  if (draft.isStarting(recipe.model) || draft.isAtLimit || !draft.isKnown([recipe])) return;
  const failure = snapshot.failures.get(recipe.id);
  if (failure !== undefined) return draft.lookAgain(failure.until);
  const gpus = recipe.profiles.find(({ id }) => id === profileId)?.gpus;
  const request = { model: recipe.model, recipe: recipe.id, ...(gpus === undefined ? {} : { gpus }) };
  const selection = select([recipe], request, ledger.offers, snapshot.defaultRuntime);
  if (selection.kind !== "selected") return;
  const place = ledger.find(selection);
  if (place !== undefined) return draft.start(selection, place, purpose);
  if (purpose.why !== "scale out") return;
  const demand: Demand = {
    id: `scale:${recipe.model}`,
    kind: "wanted",
    why: purpose.why,
    request,
    since: now,
    rank: now,
    waiting: 0,
    mayStart: true,
  };
  const room = makeRoom(selection, demand, draft.occupancy);
  if (room.kind === "make") for (const victim of room.victims) draft.evict(victim, selection, demand);
  else if (room.kind === "wait" && room.until !== undefined) draft.lookAgain(room.until);
}
