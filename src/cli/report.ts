// How failures are said: one sentence, then what to do next.
import { isAimError, messageOf } from "../errors.ts";
import { EXIT, exitCodeOf, type ExitCode } from "./exit-codes.ts";
import { CliError } from "./failure.ts";
import type { Terminal } from "./terminal.ts";

/** Tells the person at the terminal and returns the exit code. */
export async function reportFailure(terminal: Terminal, error: unknown): Promise<ExitCode> {
  const failure = asCliError(error);
  if (failure.message !== "") await terminal.note(`aim-engine: ${failure.message}`);
  if (failure.hint !== undefined) await terminal.note(failure.hint);
  return failure.exitCode;
}

function asCliError(error: unknown): CliError {
  if (error instanceof CliError) return error;
  // What is wrong with a configuration is said in full, and its cause would only repeat it.
  if (isAimError(error, "invalid_config")) return new CliError(exitCodeOf(error.code), error.message);
  if (isAimError(error)) return new CliError(exitCodeOf(error.code), messageOf(error));
  const hint = "This should not have happened: please report it with the command that you gave.";
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new CliError(EXIT.failure, text, { hint });
}
