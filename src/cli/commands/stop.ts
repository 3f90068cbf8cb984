// stop: takes replicas down, by their own names or by model.
import { readAnswer, replicasAnswer } from "../answers.ts";
import { EXIT, type ExitCode } from "../exit-codes.ts";
import { CliError, failedWith } from "../failure.ts";
import type { Io } from "../io.ts";
import { reportFailure } from "../report.ts";
import { withGateway, type Session } from "../session.ts";
import { suggestName } from "../unknown-name.ts";

export interface StopOptions {
  /** Cuts requests in flight. */
  readonly force?: boolean;
}

/** Tries every name; the exit code is that of the first failure. */
export function stop(io: Io, names: readonly string[], options: StopOptions): Promise<ExitCode> {
  return withGateway(io, async (session) => {
    let code: ExitCode = EXIT.ok;
    for (const name of names) {
      const failure = await stopOne(session, name, options);
      if (failure === undefined) continue;
      await reportFailure(session.terminal, failure);
      if (code === EXIT.ok) code = failure.exitCode;
    }
    return code;
  });
}

/** Without the gateway or after Ctrl-C the other names have no chance either: that is thrown. */
async function stopOne(session: Session, name: string, options: StopOptions): Promise<CliError | undefined> {
  const path = `api/replicas/${encodeURIComponent(name)}${options.force ? "?force=true" : ""}`;
  try {
    const { replicas } = readAnswer(replicasAnswer, await session.client.delete(path));
    for (const replica of replicas) await session.terminal.print(replica.name);
    if (replicas.length === 0) await session.terminal.note(`${name} is not running`);
    return undefined;
  } catch (error) {
    const failure = await suggestName(session, error, name);
    if (!(failure instanceof CliError)) throw failure;
    if (failedWith(failure, EXIT.unreachable) || failedWith(failure, EXIT.interrupted)) throw failure;
    return failure;
  }
}
