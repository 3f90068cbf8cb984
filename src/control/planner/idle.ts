// What becomes of replicas that nobody uses: they are put to sleep, then unloaded, each when its time has come.
import { formatDuration } from "../../lib/units.ts";
import type { ReplicaSnapshot } from "../snapshot.ts";
import type { Draft } from "./draft.ts";
import { isIdle } from "./residency.ts";

export function tendIdle(draft: Draft): void {
  for (const replica of draft.snapshot.replicas) {
    if (!isUnused(replica) || draft.isAway(replica)) continue;
    if (replica.stale) draft.stop(replica, "stale", "its recipe has changed or is gone, and it is idle");
    // What is freed beside an engine that is just measuring its memory would confuse it.
    else if (!draft.isKept(replica) && !draft.ledger.isBesideLoad(replica)) tend(replica, draft);
  }
}

/** A stale sleeper is not woken any more: whoever waits for its model needs its GPUs for another one. */
function isUnused(replica: ReplicaSnapshot): boolean {
  return isIdle(replica) || (replica.state === "sleeping" && replica.stale);
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
