// What the exit code of a command tells a script. `docs/reference/cli.md` repeats this table.
import type { ErrorCode } from "../errors.ts";

export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  notFound: 3,
  conflict: 4,
  unreachable: 5,
  noCapacity: 6,
  startFailed: 7,
  timedOut: 124,
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** One sentence each, for the help and the reference. */
export const EXIT_MEANINGS: Readonly<Record<ExitCode, string>> = {
  0: "done",
  1: "failed",
  2: "the command line or a value in it is wrong",
  3: "no such model or replica",
  4: "in conflict with what is there",
  5: "cannot reach the gateway",
  6: "no capacity",
  7: "the model did not start",
  124: "timed out",
  130: "interrupted with Ctrl-C",
};

const BY_ERROR: Readonly<Partial<Record<ErrorCode, ExitCode>>> = {
  invalid_value: EXIT.usage,
  invalid_json: EXIT.usage,
  model_not_found: EXIT.notFound,
  replica_not_found: EXIT.notFound,
  conflict: EXIT.conflict,
  no_capacity: EXIT.noCapacity,
  queue_full: EXIT.noCapacity,
  model_unavailable: EXIT.startFailed,
  model_start_failed: EXIT.startFailed,
  model_start_timeout: EXIT.startFailed,
  invalid_config: EXIT.usage,
};

/** By the code of an error of ours, wherever it was thrown. */
export function exitCodeOf(errorCode: string): ExitCode {
  const known: Readonly<Record<string, ExitCode>> = BY_ERROR;
  return (Object.hasOwn(known, errorCode) ? known[errorCode] : undefined) ?? EXIT.failure;
}
