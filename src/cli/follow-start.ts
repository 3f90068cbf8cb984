// Follows a replica from its launch until it serves or will not.
import { sleep } from "../lib/clock.ts";
import { modelsAnswer, readAnswer, replicasAnswer, type ReplicaAnswer } from "./answers.ts";
import { EXIT } from "./exit-codes.ts";
import { failedWith } from "./failure.ts";
import type { Session } from "./session.ts";

export type StartOutcome = { readonly kind: "ready" } | FailedStart;

export interface FailedStart {
  readonly kind: "failed";
  readonly reason: string;
  /** Where the replica is gone, and its log with it. */
  readonly lastLines?: readonly string[];
}

export interface FollowOptions {
  onChange(replica: ReplicaAnswer): void;
  readonly signal: AbortSignal;
}

const POLL_MS = 500;

/** A gateway that restarts adopts the replica: that is worth waiting for. */
const UNREACHABLE_FOR_MS = 20_000;

/** Ends with the outcome, or rejects with the signal's reason. */
export async function followStart(
  session: Session,
  replica: ReplicaAnswer,
  options: FollowOptions,
): Promise<StartOutcome> {
  let current: ReplicaAnswer | undefined = replica;
  let lastSeen = session.clock.now();
  for (;;) {
    const outcome = current === undefined ? await whyGone(session, replica.model) : outcomeOf(current);
    if (current !== undefined) options.onChange(current);
    if (outcome !== undefined) return outcome;
    await sleep(session.clock, POLL_MS, options.signal);
    try {
      current = await find(session, replica.name);
      lastSeen = session.clock.now();
    } catch (error) {
      const patience = session.clock.now() - lastSeen < UNREACHABLE_FOR_MS;
      if (!failedWith(error, EXIT.unreachable) || !patience) throw error;
    }
  }
}

function outcomeOf(replica: ReplicaAnswer): StartOutcome | undefined {
  if (replica.state === "ready" || replica.state === "sleeping") return { kind: "ready" };
  if (replica.state !== "failed" && replica.state !== "gone") return undefined;
  return { kind: "failed", reason: replica.reason || "no reason is known" };
}

async function find({ client }: Session, name: string): Promise<ReplicaAnswer | undefined> {
  const { replicas } = readAnswer(replicasAnswer, await client.get("api/replicas"));
  return replicas.find((replica) => replica.name === name);
}

/** A replica that failed may be cleared away between two looks; its model still knows why. */
async function whyGone({ client }: Session, model: string): Promise<StartOutcome> {
  const { models } = readAnswer(modelsAnswer, await client.get("api/models"));
  const known = models.find((candidate) => candidate.model === model);
  const reason = known?.reason ?? "it was stopped before it was ready";
  return { kind: "failed", reason, lastLines: known?.lastLines ?? [] };
}
