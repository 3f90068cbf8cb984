// What becomes of replicas that nobody uses: they are put to sleep, then unloaded, each when its time has come.
import { formatDuration } from "../../lib/units.ts";
import { meantLoad } from "../autoscale/desired.ts";
import type { ReplicaSnapshot } from "../snapshot.ts";
import type { Draft } from "./draft.ts";
import { isIdle } from "./residency.ts";

export function tendIdle(draft: Draft): void {
  for (const replica of draft.snapshot.replicas) {
    // What is freed beside an engine that is just measuring its memory would confuse it.
    if (!isUnused(replica) || draft.isAway(replica) || draft.ledger.isBesideLoad(replica)) continue;
    if (replica.stale) draft.stop(replica, "stale", "its recipe has changed or is gone, and it is idle");
    else if (!draft.isKept(replica) && !isNeeded(replica, draft)) tend(replica, draft);
  }
}

/** A stale sleeper is not woken any more: whoever waits for its model needs its GPUs for another one. */
function isUnused(replica: ReplicaSnapshot): boolean {
  return isIdle(replica) || (replica.state === "sleeping" && replica.stale);
}

/**
 * The others of its model have more to do than they are meant for, be it that nothing of that can be moved to it: another one
 * would be started, or it would be woken, as soon as it is gone.
 */
function isNeeded({ model, recipeId, state }: ReplicaSnapshot, { census }: Draft): boolean {
  const recipe = census.recipesOf(model).find(({ id }) => id === recipeId);
  if (recipe === undefined || recipe.replicas.max === 1 || state === "sleeping") return false;
  const live = census.ofModel(model).filter((replica) => census.isLive(replica));
  const load = live.reduce((sum, { inFlight }) => sum + inFlight, 0);
  return live.length <= recipe.replicas.max && load > (live.length - 1) * meantLoad(recipe);
}

function tend(replica: ReplicaSnapshot, draft: Draft): void {
  const { idleSince, keepAliveMs, sleep, state } = replica;
  const idle = formatDuration(draft.now - idleSince);
  const stopsAt = idleSince + keepAliveMs;
  if (stopsAt <= draft.now)
    return draft.stop(replica, "idle", `idle for ${idle} (keep-alive ${formatDuration(keepAliveMs)})`);
  draft.lookAgain(stopsAt);
  if (sleep === undefined || state !== "ready") return;
  const sleepsAt = idleSince + sleep.afterMs;
  if (sleepsAt > draft.now) draft.lookAgain(sleepsAt);
  else draft.sleep(replica, "idle", `idle for ${idle}; it sleeps after ${formatDuration(sleep.afterMs)}`);
}
