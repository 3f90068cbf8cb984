// Stays with replicas until they are ready, showing how they come along; leaving early leaves the starts alone.
import { logLineAnswer, readAnswer, type ReplicaAnswer } from "./answers.ts";
import { EXIT, type ExitCode } from "./exit-codes.ts";
import { CliError, isLeaving, whyLeft } from "./failure.ts";
import { followStarts, type FailedStart } from "./follow-start.ts";
import { formatLeft, formatSeconds, newsOf } from "./format.ts";
import type { Io } from "./io.ts";
import { createProgress, type ProgressRow } from "./progress.ts";
import { pullBars, pullSummary } from "./pull-bars.ts";
import { reportFailure } from "./report.ts";
import type { Session } from "./session.ts";

export interface Starting {
  readonly replicas: readonly ReplicaAnswer[];
  /** The reasons that were shown already. */
  readonly said: readonly string[];
  readonly signal: AbortSignal;
}

const LOG_LINES = 20;

/** Prints the names of those that are ready; fails when any is not. */
export async function awaitReady(io: Io, session: Session, starting: Starting): Promise<ExitCode> {
  const names = starting.replicas.map(({ name }) => name);
  const began = session.clock.now();
  const progress = createProgress(io);
  const readyAfter = new Map<string, string>();
  const elapsedOf = ({ name, state }: ReplicaAnswer) => {
    const elapsed = readyAfter.get(name) ?? formatSeconds(session.clock.now() - began);
    // One that is ready may be shown for long while the others are not.
    if (state === "ready") readyAfter.set(name, elapsed);
    return elapsed;
  };
  const onLook = (replicas: readonly ReplicaAnswer[]) => {
    const { said } = starting;
    const { columns } = io.stderr;
    progress.show(replicas.map((replica) => rowOf(replica, { elapsed: elapsedOf(replica), said, columns })));
  };
  try {
    const outcomes = await followStarts(session, starting.replicas, { onLook, signal: starting.signal });
    progress.end();
    for (const { kind, name } of outcomes) if (kind === "ready") await session.terminal.print(name);
    const failed = outcomes.filter((outcome) => outcome.kind === "failed");
    for (const start of failed) await reportFailure(session.terminal, await failure(session, start));
    return failed.length === 0 ? EXIT.ok : EXIT.startFailed;
  } catch (error) {
    progress.end();
    if (!isLeaving(error)) throw error;
    await session.terminal.note(leaving(error, names));
    return error.exitCode;
  }
}

interface Showing {
  readonly elapsed: string;
  readonly said: readonly string[];
  readonly columns: number | undefined;
}

function rowOf({ name, state, reason, etaSeconds, pull }: ReplicaAnswer, showing: Showing): ProgressRow {
  // What was said before the wait is not said again.
  const isSaid = showing.said.some((text) => reason.includes(text));
  const pulled = pull === undefined ? "" : pullSummary(pull);
  const news = pulled === "" ? newsOf(state, isSaid ? "" : reason) : pulled;
  const told = [news, formatLeft(reason, etaSeconds)].filter((text) => text !== "").join(", ");
  return {
    key: name,
    phase: state,
    text: `${name}  ${told === "" ? state : `${state}: ${told}`}`,
    elapsed: showing.elapsed,
    ...(pull === undefined ? {} : { details: pullBars(pull, showing.columns) }),
  };
}

function leaving(error: CliError, names: readonly string[]): string {
  const goesOn = names.length === 1 ? "goes on starting; stop it" : "go on starting; stop them";
  return `${whyLeft(error)}: ${names.join(", ")} ${goesOn} with: aim-engine stop ${names.join(" ")}`;
}

async function failure(session: Session, { name, reason, lastLines }: FailedStart): Promise<CliError> {
  const lines = lastLines ?? (await readLog(session, name));
  for (const line of lines.slice(-LOG_LINES)) await session.terminal.note(`  ${line}`);
  // What to do is part of the reason, from where the cause is known.
  const hint = `More of its output: aim-engine logs ${name}`;
  return new CliError(EXIT.startFailed, `${name} did not start: ${reason}`, { hint });
}

async function readLog({ client }: Session, name: string): Promise<readonly string[]> {
  const path = `api/replicas/${encodeURIComponent(name)}/logs?tail=${LOG_LINES}`;
  const texts: string[] = [];
  try {
    for await (const line of client.lines(path, { accept: "application/x-ndjson" })) {
      const entry = readAnswer(logLineAnswer, JSON.parse(line));
      if ("text" in entry) texts.push(entry.text);
    }
  } catch (error) {
    // A replica that never ran has no log; the reason of the failure is reported in any case. Ctrl-C still means leave.
    if (isLeaving(error)) throw error;
  }
  return texts;
}
