// Follows replicas from their launch until each of them serves or will not.
import { sleep } from "../lib/clock.ts";
import { modelsAnswer, readAnswer, replicasAnswer, type ReplicaAnswer } from "./answers.ts";
import { EXIT } from "./exit-codes.ts";
import { failedWith } from "./failure.ts";
import type { Session } from "./session.ts";

export type StartOutcome = ReadyStart | FailedStart;

interface ReadyStart {
  readonly kind: "ready";
  readonly name: string;
}

export interface FailedStart {
  readonly kind: "failed";
  readonly name: string;
  readonly reason: string;
  /** Where the replica is gone, and its log with it. */
  readonly lastLines?: readonly string[];
}

export interface FollowOptions {
  /** With every look: those that are there. */
  onLook(replicas: readonly ReplicaAnswer[]): void;
  readonly signal: AbortSignal;
}

const POLL_MS = 500;

/** A gateway that restarts adopts its replicas: that is worth waiting for. */
const UNREACHABLE_FOR_MS = 20_000;

/** Ends with the outcome of each, in their order, or rejects with the signal's reason. */
export async function followStarts(
  session: Session,
  replicas: readonly ReplicaAnswer[],
  options: FollowOptions,
): Promise<readonly StartOutcome[]> {
  const outcomes = new Map<string, StartOutcome>();
  const settle = (outcome: StartOutcome | undefined) => outcome && outcomes.set(outcome.name, outcome);
  let lastSeen = session.clock.now();
  options.onLook(replicas);
  for (const replica of replicas) settle(outcomeOf(replica));
  while (outcomes.size < replicas.length) {
    await sleep(session.clock, POLL_MS, options.signal);
    try {
      const found = await look(session, replicas);
      options.onLook(found);
      for (const replica of replicas.filter(({ name }) => !outcomes.has(name))) {
        const current = found.find(({ name }) => name === replica.name);
        settle(current === undefined ? await whyGone(session, replica) : outcomeOf(current));
      }
      lastSeen = session.clock.now();
    } catch (error) {
      const patience = session.clock.now() - lastSeen < UNREACHABLE_FOR_MS;
      if (!failedWith(error, EXIT.unreachable) || !patience) throw error;
    }
  }
  return replicas.flatMap(({ name }) => outcomes.get(name) ?? []);
}

function outcomeOf({ name, model, state, reason }: ReplicaAnswer): StartOutcome | undefined {
  if (state === "ready" || state === "dozing" || state === "sleeping") return { kind: "ready", name };
  if (state !== "failed" && state !== "gone") return undefined;
  return { kind: "failed", name, reason: causeIn(reason, model) || "no reason is known" };
}

/** That it failed is for the reader of the outcome to say. */
function causeIn(reason: string, model: string): string {
  const failed = `${model} could not be started: `;
  return reason.startsWith(failed) ? reason.slice(failed.length) : reason;
}

async function look({ client }: Session, wanted: readonly ReplicaAnswer[]): Promise<readonly ReplicaAnswer[]> {
  const { replicas } = readAnswer(replicasAnswer, await client.get("api/replicas"));
  return wanted.flatMap(({ name }) => replicas.find((replica) => replica.name === name) ?? []);
}

/** A replica that failed may be cleared away between two looks; its model still knows why. */
async function whyGone({ client }: Session, { name, model }: ReplicaAnswer): Promise<StartOutcome> {
  const { models } = readAnswer(modelsAnswer, await client.get("api/models"));
  const known = models.find((candidate) => candidate.model === model);
  const reason = causeIn(known?.reason ?? "it was stopped before it was ready", model);
  return { kind: "failed", name, reason, lastLines: known?.lastLines ?? [] };
}
