// Commands that take several names: all are tried, and the exit code is that of the first failure.
import { EXIT, type ExitCode } from "./exit-codes.ts";
import { CliError, failedWith, isLeaving } from "./failure.ts";
import { reportFailure } from "./report.ts";
import type { Session } from "./session.ts";
import { suggestName } from "./unknown-name.ts";

/** Asks for all names at once, tells in their order. Without the gateway or after Ctrl-C no name has a chance: that is thrown. */
export async function forEachName<T>(
  session: Session,
  names: readonly string[],
  ask: (name: string) => Promise<T>,
  tell: (done: T, name: string) => Promise<void>,
): Promise<ExitCode> {
  const asked = names.map((name) => ({ name, outcome: outcomeOf(ask(name)) }));
  let code: ExitCode = EXIT.ok;
  for (const { name, outcome } of asked) {
    const result = await outcome;
    if ("done" in result) {
      await tell(result.done, name);
      continue;
    }
    const failure = await suggestName(session, result.error, name);
    if (!(failure instanceof CliError) || concernsAll(failure)) throw failure;
    await reportFailure(session.terminal, failure);
    if (code === EXIT.ok) code = failure.exitCode;
  }
  return code;
}

/** Never rejects: nobody may be listening yet. */
async function outcomeOf<T>(work: Promise<T>): Promise<{ readonly done: T } | { readonly error: unknown }> {
  try {
    return { done: await work };
  } catch (error) {
    return { error };
  }
}

function concernsAll(failure: unknown): boolean {
  return failedWith(failure, EXIT.unreachable) || isLeaving(failure);
}
