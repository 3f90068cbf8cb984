// Why a model cannot be served at all now, as an error that says whether it is worth asking again.
import type { Recipe } from "../../catalog/recipe.ts";
import { matchesHardware, select } from "../../catalog/select.ts";
import { AimError } from "../../errors.ts";
import { gpuKey } from "../fleet/gpus.ts";
import { runtimeOf, type Demand, type FleetSnapshot } from "../snapshot.ts";
import { offersOf } from "./ledger.ts";

/** When to ask again after a runtime was found unavailable. */
const RUNTIME_RETRY_MS = 10_000;

/** When to ask again while replicas that are kept take the room. */
export const NO_ROOM_RETRY_MS = 30_000;

/** A runtime that is away, or a GPU that cannot be used, may come back; anything else needs an operator. */
export function unavailable(
  snapshot: FleetSnapshot,
  { request }: Demand,
  { recipes, why }: { readonly recipes: readonly Recipe[]; readonly why: string },
): AimError {
  const message = `${request.model} cannot be served: ${why}`;
  if (recipes.some((recipe) => runtimeOf(snapshot, recipe)?.unavailable !== undefined)) {
    return new AimError("runtime_unavailable", message, { retryAfterMs: RUNTIME_RETRY_MS });
  }
  const offers = offersOf({ ...snapshot, blocks: new Map() });
  const wouldFit = select(recipes, request, offers, snapshot.defaultRuntime).kind === "selected";
  if (!wouldFit) return new AimError("model_unavailable", message);
  const blocked = unusableFor(snapshot, recipes).join("; ");
  return new AimError("no_capacity", `${message}; ${blocked}`, { retryAfterMs: NO_ROOM_RETRY_MS });
}

/** GPUs that would suit one of the recipes if they could be given out, each with the reason why it cannot. */
function unusableFor(snapshot: FleetSnapshot, recipes: readonly Recipe[]): readonly string[] {
  const all = recipes.flatMap((recipe) => {
    const runtime = recipe.runtime ?? snapshot.defaultRuntime;
    const gpus = snapshot.runtimes.get(runtime)?.gpus ?? [];
    return gpus.flatMap((gpu) => {
      const block = snapshot.blocks.get(gpuKey(runtime, gpu.id));
      if (block === undefined || block.status === "recovering" || !matchesHardware(recipe, gpu)) return [];
      return [`GPU ${gpu.id} is ${block.status}: ${block.reason}`];
    });
  });
  return [...new Set(all)];
}
