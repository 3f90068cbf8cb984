// Stays with replicas until they are ready, showing how they come along; leaving early leaves the starts alone.
import { logLineAnswer, readAnswer, type ReplicaAnswer } from "./answers.ts";
import { clean } from "./clean.ts";
import { EXIT, type ExitCode } from "./exit-codes.ts";
import { CliError, isLeaving, whyLeft } from "./failure.ts";
import { followStarts, type FailedStart } from "./follow-start.ts";
import { formatLeft, formatSeconds, newsOf } from "./format.ts";
import type { Io } from "./io.ts";
import { createProgress, shapeOf, type ProgressRow } from "./progress.ts";
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
  const progress = createProgress(io);
  const watch = new Watch(session, io);
  const onLook = (replicas: readonly ReplicaAnswer[]) =>
    progress.show(replicas.map((replica) => watch.row(replica, starting.said)));
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
    const names = starting.replicas.map(({ name }) => name);
    for (const name of names) if (watch.sawReady(name)) await session.terminal.print(name);
    const left = names.filter((name) => !watch.sawReady(name));
    if (left.length > 0) await session.terminal.note(leaving(error, left));
    return error.exitCode;
  }
}

/** Turns replicas into rows, and remembers when each was ready: it may be shown for long while the others are not. */
class Watch {
  readonly #clock: Session["clock"];
  readonly #io: Io;
  readonly #began: number;
  readonly #readyAfter = new Map<string, string>();

  constructor({ clock }: Session, io: Io) {
    this.#clock = clock;
    this.#io = io;
    this.#began = clock.now();
  }

  sawReady(name: string): boolean {
    return this.#readyAfter.has(name);
  }

  /** What was said before the wait is not said again. */
  row({ name, state, reason, etaSeconds, pull }: ReplicaAnswer, said: readonly string[]): ProgressRow {
    const pulled = pull === undefined ? "" : pullSummary(pull);
    const told = said.some((text) => reason.includes(text)) ? "" : newsOf(state, reason);
    const news = pulled === "" ? told : pulled;
    return {
      key: name,
      // A pull's words are all numbers; the others tell the phases of an engine apart.
      phase: pulled === "" ? `${state} ${shapeOf(clean(news))}` : state,
      text: `${name}  ${news === "" ? state : `${state}: ${news}`}`,
      left: formatLeft(news, etaSeconds),
      elapsed: this.#elapsed(name, state),
      ...(pull === undefined ? {} : { details: pullBars(pull, this.#io.stderr.columns) }),
    };
  }

  #elapsed(name: string, state: string): string {
    const elapsed = this.#readyAfter.get(name) ?? formatSeconds(this.#clock.now() - this.#began);
    if (state === "ready") this.#readyAfter.set(name, elapsed);
    return elapsed;
  }
}

function leaving(error: CliError, names: readonly string[]): string {
  const goesOn = names.length === 1 ? "goes on starting; stop it" : "go on starting; stop them";
  return `${whyLeft(error)}: ${names.join(", ")} ${goesOn} with: aim-engine stop ${names.join(" ")}`;
}

async function failure(session: Session, { name, reason, lastLines }: FailedStart): Promise<CliError> {
  const lines = lastLines ?? (await readLog(session, name));
  for (const line of lines.slice(-LOG_LINES)) await session.terminal.note(`  ${line}`);
  // What to do is part of the reason, from where the cause is known. What never ran has no output.
  const hint = lines.length === 0 ? undefined : `More of its output: aim-engine logs ${name}`;
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
