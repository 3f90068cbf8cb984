// How a command fails: a sentence, an exit code and what to do next.
import { EXIT, type ExitCode } from "./exit-codes.ts";

export class CliError extends Error {
  readonly exitCode: ExitCode;
  /** The next step; every failure should have one. */
  readonly hint: string | undefined;

  constructor(
    exitCode: ExitCode,
    message: string,
    details: { readonly hint?: string | undefined; readonly cause?: unknown } = {},
  ) {
    super(message, { cause: details.cause });
    this.name = "CliError";
    this.exitCode = exitCode;
    this.hint = details.hint;
  }
}

/** Ctrl-C: nothing went wrong and nothing needs to be said. */
export function interrupted(): CliError {
  return new CliError(EXIT.interrupted, "");
}

export function failedWith(error: unknown, exitCode: ExitCode): error is CliError {
  return error instanceof CliError && error.exitCode === exitCode;
}

/** Somebody stopped waiting (Ctrl-C, a time limit): nothing failed, and what was asked for may go on. */
export function isLeaving(error: unknown): error is CliError {
  return failedWith(error, EXIT.interrupted) || failedWith(error, EXIT.timedOut);
}

/** The beginning of the sentence that says what goes on. */
export function whyLeft({ message }: CliError): string {
  return message === "" ? "detached" : message;
}
