// Finds out why a replica came to its end: reads what it said last, within a moment, and hides what must not be kept.
import { deadline, type Clock } from "../../lib/clock.ts";
import { maskSecrets } from "../../lib/secrets.ts";
import type { ReplicaExit, RuntimeDriver } from "../../runtime/driver.ts";
import { failureOf, type Diagnosis, type End } from "./failure-words.ts";
import type { ReplicaFailure } from "../fleet/failures.ts";
import type { Replica } from "../replica.ts";

export interface PostMortemDeps {
  readonly clock: Clock;
  driverOf(replica: Replica): RuntimeDriver;
  diagnose(lines: readonly string[], exit: ReplicaExit | undefined): Diagnosis;
}

/** The cause stands before the tracebacks of all who suffered from it. */
const LINES_READ = 400;
const LINES_KEPT = 50;
/** Looking at the logs of the dead must not keep the living waiting. */
const LIMIT_MS = 700;

/** Never rejects: whatever goes wrong with finding out why, the replica has failed, and its place has to become free. */
export async function postMortem(deps: PostMortemDeps, replica: Replica, end: End): Promise<ReplicaFailure> {
  const { model } = replica;
  const wasReady = replica.readyAt !== undefined;
  try {
    const lines = end.kind === "vanished" ? [] : await lastLines(deps, replica);
    const diagnose = (exit: ReplicaExit | undefined) => deps.diagnose(lines, exit);
    return failureOf(end, { model, wasReady, lastLines: lines.slice(-LINES_KEPT), diagnose });
  } catch (cause) {
    const error = new Error("finding out why it ended failed", { cause });
    const diagnose = () => ({ code: "crashed", advice: "read its log" });
    return failureOf({ kind: "error", error }, { model, wasReady, lastLines: [], diagnose });
  }
}

async function lastLines(deps: PostMortemDeps, replica: Replica): Promise<readonly string[]> {
  const { ref } = replica;
  if (ref === undefined) return [];
  const limit = deadline(deps.clock, LIMIT_MS, () => new Error("reading the last log lines took too long"));
  const lines: string[] = [];
  try {
    const logs = deps.driverOf(replica).logs(ref, { follow: false, tail: LINES_READ }, limit.signal);
    for await (const line of logs) lines.push(maskSecrets(line.text));
  } catch {
    // The failure itself is reported either way; its log lines are a help, not a condition.
  } finally {
    limit.done();
  }
  return lines;
}
