// Waits until a replica answers as it should, or says that it sleeps. One that may be asleep is asked that first: a request for
// a token would hang there for ever.
import type { Readiness } from "../../catalog/launch-spec.ts";
import { sleep, type Clock } from "../../lib/clock.ts";
import type { Replica } from "../replica.ts";

export interface ReadyOrAsleepDeps {
  readonly clock: Clock;
  /** Resolves when the replica answers as it should; rejects when the signal aborts. */
  awaitReady(candidate: Candidate, signal: AbortSignal): Promise<void>;
  /** Rejects when its engine does not answer, or the signal aborts. */
  isAsleep(address: URL, signal: AbortSignal): Promise<boolean>;
}

/** A replica that is about to answer. */
export interface Candidate {
  readonly address: URL;
  readonly readiness: Readiness;
  /** Resolves when it is to be asked again; rejects with the signal's reason when that aborts. */
  pause(signal: AbortSignal): Promise<void>;
}

/** An engine that another gateway told to sleep may still be about to. */
const LOOK_EVERY_MS = 5_000;

/** Bounded by the signal. */
export async function awaitReadyOrAsleep(
  deps: ReadyOrAsleepDeps,
  replica: Pick<Replica, "recipe" | "identity">,
  candidate: Candidate,
  signal: AbortSignal,
): Promise<"ready" | "asleep"> {
  const { adopted } = replica.identity;
  if (!maySleep(replica)) return ready(deps, candidate, signal);
  if (await firstAnswer(deps, candidate, signal)) return "asleep";
  return adopted ? whichFirst(deps, candidate, signal) : ready(deps, candidate, signal);
}

/** Also one whose recipe says nothing of sleep any more, or is gone. */
function maySleep({ recipe, identity }: Pick<Replica, "recipe" | "identity">): boolean {
  if (recipe === undefined) return true;
  return recipe.sleep !== undefined || (identity.adopted && (recipe.engine === "vllm" || recipe.engine === "sim"));
}

async function ready(deps: ReadyOrAsleepDeps, candidate: Candidate, signal: AbortSignal): Promise<"ready"> {
  await deps.awaitReady(candidate, signal);
  return "ready";
}

async function firstAnswer(deps: ReadyOrAsleepDeps, candidate: Candidate, signal: AbortSignal): Promise<boolean> {
  for (;;) {
    try {
      return await deps.isAsleep(candidate.address, signal);
    } catch {
      // It does not listen yet, or never will: whoever set the signal knows how long that may take.
      await candidate.pause(signal);
    }
  }
}

async function whichFirst(
  deps: ReadyOrAsleepDeps,
  candidate: Candidate,
  signal: AbortSignal,
): Promise<"ready" | "asleep"> {
  const losing = new AbortController();
  const onAbort = () => losing.abort(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  const contest = [ready(deps, candidate, losing.signal), asleep(deps, candidate, losing.signal)];
  try {
    return await Promise.race(contest);
  } finally {
    signal.removeEventListener("abort", onAbort);
    losing.abort(new Error("the other one was first"));
    await Promise.allSettled(contest);
  }
}

async function asleep(deps: ReadyOrAsleepDeps, { address }: Candidate, signal: AbortSignal): Promise<"asleep"> {
  for (;;) {
    await sleep(deps.clock, LOOK_EVERY_MS, signal);
    // Without an answer nothing is known, and it is asked again.
    if (await deps.isAsleep(address, signal).catch(() => false)) return "asleep";
  }
}
