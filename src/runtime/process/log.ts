// The log file of a process replica: the child writes it by itself (no pipe, so it outlives us); here it is opened and read.
import { mkdir, open, stat, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { AimError, codeOf } from "../../errors.ts";
import type { Clock } from "../../lib/clock.ts";
import type { LogLine, LogOptions } from "../driver.ts";
import { START_MARK } from "../log-file.ts";
import { readLogFile } from "../log-reader.ts";
import { sinceNanos } from "../log-time.ts";

export interface LogReader {
  readonly clock: Clock;
  /** Whether its writer still runs. */
  isAlive(): Promise<boolean>;
}

/** Opens a log for a child to append to, after a line that separates it from what earlier replicas of that name wrote. */
export async function openLog(path: string, clock: Clock): Promise<FileHandle> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, "a", 0o640);
  await file.write(`\n${START_MARK} ${new Date(clock.wallNow()).toISOString()}\n`);
  return file;
}

/** Where replicas cannot log they cannot be started. */
export function cannotLog(logDir: string, cause: unknown): AimError {
  const message = `cannot write the logs of replicas to ${logDir}: make it a writable directory, or configure another`;
  return new AimError("runtime_unavailable", message, { cause });
}

/** Lines of the latest start. Ends when its writer is gone and all is read, or at once when the signal aborts. */
export async function* readLog(
  path: string,
  options: LogOptions,
  reader: LogReader,
  signal: AbortSignal,
): AsyncGenerator<LogLine, void, undefined> {
  // The child writes no times, so of a log that goes on after `since` all is shown, and of another nothing.
  const isOlder = await isWrittenBefore(path, options.since);
  const format = {
    ...reader,
    prefixLength: 0,
    // Both streams share one file, which keeps their lines in order but not apart.
    toLine: (text: string) => ({ text, stream: "stdout" }) as const,
  };
  yield* readLogFile(path, isOlder ? { ...options, tail: 0 } : options, format, signal);
}

async function isWrittenBefore(path: string, since: string | undefined): Promise<boolean> {
  const limit = sinceNanos(since);
  if (limit === undefined) return false;
  try {
    return BigInt(Math.ceil((await stat(path)).mtimeMs)) * 1_000_000n <= limit;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return true;
    throw error;
  }
}
