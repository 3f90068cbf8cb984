// launch: asks for a replica and, unless told otherwise, stays until it is ready.
import { environment } from "../../config.ts";
import { deadline } from "../../lib/clock.ts";
import { formatDuration } from "../../lib/units.ts";
import { launchAnswer, logLineAnswer, readAnswer, type ReplicaAnswer } from "../answers.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { CliError, failedWith } from "../failure.ts";
import { followStart, type FailedStart } from "../follow-start.ts";
import { formatSeconds, formatState } from "../format.ts";
import type { Io } from "../io.ts";
import { Progress } from "../progress.ts";
import { withGateway, type Session } from "../session.ts";
import { suggestName } from "../unknown-name.ts";

export interface LaunchOptions {
  readonly precision?: string;
  readonly engine?: string;
  readonly recipe?: string;
  readonly keepAlive?: string;
  readonly detach?: boolean;
  /** How long to stay; the start itself goes on. */
  readonly timeout?: number;
}

const LOG_LINES = 20;

export async function launch(
  io: Io,
  model: string,
  gpus: number | undefined,
  options: LaunchOptions,
): Promise<ExitCode> {
  const { timeout = Infinity } = options;
  const tooLate = () => new CliError(EXIT.timedOut, `not ready after ${formatDuration(timeout)}`);
  const limit = deadline(io.clock, timeout, tooLate, io.interruptSignal());
  try {
    return await withGateway(
      io,
      (session) => ask(io, session, { model, gpus, options, signal: limit.signal }),
      limit.signal,
    );
  } finally {
    limit.done();
  }
}

interface Wish {
  readonly model: string;
  readonly gpus: number | undefined;
  readonly options: LaunchOptions;
  readonly signal: AbortSignal;
}

async function ask(io: Io, session: Session, wish: Wish): Promise<ExitCode> {
  const { precision, engine, recipe, keepAlive, detach } = wish.options;
  const body = { model: wish.model, gpus: wish.gpus, precision, engine, recipe, keepAlive };
  const answer = await session.client.post("api/replicas", body).catch(async (error: unknown) => {
    throw await suggestName(session, error, wish.model);
  });
  const { replica, created, reasons } = readAnswer(launchAnswer, answer);
  const said = created ? reasons : [];
  for (const reason of said) await session.terminal.note(reason);
  if (!created)
    await session.terminal.note(`${replica.name} is there already (${formatState(replica.state, replica.reason)})`);
  if (detach || replica.state === "ready") {
    await session.terminal.print(replica.name);
    return EXIT.ok;
  }
  return stay(io, session, { replica, said, signal: wish.signal });
}

interface Start {
  readonly replica: ReplicaAnswer;
  /** The reasons that were shown already. */
  readonly said: readonly string[];
  readonly signal: AbortSignal;
}

/** Leaving early (Ctrl-C, the time limit) leaves the start alone, and says so. */
async function stay(io: Io, session: Session, start: Start): Promise<ExitCode> {
  const { name } = start.replica;
  const began = session.clock.now();
  const progress = new Progress(io.stderr, io.env ?? environment());
  const onChange = ({ state, reason }: ReplicaAnswer) => {
    // What was said before the wait is not said again.
    const isNews = reason !== "" && reason !== state && !start.said.some((text) => reason.includes(text));
    const text = isNews ? `${state}: ${reason}` : state;
    progress.update(state, `${name}  ${text}`, formatSeconds(session.clock.now() - began));
  };
  try {
    const outcome = await followStart(session, start.replica, { onChange, signal: start.signal });
    progress.end();
    if (outcome.kind === "failed") throw await failure(session, name, outcome);
    await session.terminal.print(name);
    return EXIT.ok;
  } catch (error) {
    progress.end();
    if (!failedWith(error, EXIT.interrupted) && !failedWith(error, EXIT.timedOut)) throw error;
    const why = error.message === "" ? "detached" : error.message;
    await session.terminal.note(`${why}: ${name} goes on starting; stop it with: aim-engine stop ${name}`);
    return error.exitCode;
  }
}

async function failure(session: Session, name: string, start: FailedStart): Promise<CliError> {
  const lines = start.lastLines ?? (await readLog(session, name));
  for (const line of lines.slice(-LOG_LINES)) await session.terminal.note(`  ${line}`);
  // What to do is part of the reason, from where the cause is known.
  const hint = `More of its output: aim-engine logs ${name}`;
  return new CliError(EXIT.startFailed, `${name} did not start: ${start.reason}`, { hint });
}

async function readLog({ client }: Session, name: string): Promise<readonly string[]> {
  const path = `api/replicas/${encodeURIComponent(name)}/logs?tail=${LOG_LINES}`;
  const texts: string[] = [];
  try {
    for await (const line of client.lines(path, "application/x-ndjson")) {
      const entry = readAnswer(logLineAnswer, JSON.parse(line));
      if ("text" in entry) texts.push(entry.text);
    }
  } catch (error) {
    // A replica that never ran has no log; the reason of the failure is reported in any case. Ctrl-C still means leave.
    if (failedWith(error, EXIT.interrupted) || failedWith(error, EXIT.timedOut)) throw error;
  }
  return texts;
}
