// Waits for the end of one load: follows what its log says, and asks it as often as that calls for.
import type { Readiness } from "../../catalog/launch-spec.ts";
import { AimError } from "../../errors.ts";
import type { Replica } from "../replica.ts";
import type { Estimates } from "./estimates.ts";
import { followLoad, type LoadLogDeps } from "./load-log.ts";
import { Pace } from "./pace.ts";
import { awaitReadyOrAsleep, type ReadyOrAsleepDeps } from "./ready-or-asleep.ts";

export interface LoadDeps extends ReadyOrAsleepDeps, Omit<LoadLogDeps, "progress" | "onLastSteps"> {
  readonly estimates: Estimates;
}

/** Resolves with what it has become; rejects when it never will be ready, and with the signal's reason. */
export async function awaitLoad(
  deps: LoadDeps,
  replica: Replica,
  readiness: Readiness,
  signal: AbortSignal,
): Promise<"ready" | "asleep"> {
  const { clock, estimates } = deps;
  const { address, ref, progress } = replica;
  if (address === undefined || ref === undefined)
    throw new AimError("runtime_failed", `the runtime gave no address for ${replica.name}`);
  const since = progress.loadingSince ?? clock.now();
  const pace = new Pace({ clock, since, usualMs: estimates.usualLoadMs(replica) });
  const following = new AbortController();
  const followed = followLoad({ ...deps, progress, onLastSteps: () => pace.hurry() }, ref, following.signal);
  try {
    const candidate = { address, readiness, pause: (pausing: AbortSignal) => pace.pause(pausing) };
    return await awaitReadyOrAsleep(deps, replica, candidate, signal);
  } finally {
    following.abort(new Error("the load has ended"));
    await followed;
  }
}
