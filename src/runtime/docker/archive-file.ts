// One replica's output in a file: lines as container runtimes keep them ("TIME STREAM F TEXT"), which log shippers know, too.
import type { Clock } from "../../lib/clock.ts";
import type { LogLine, LogOptions } from "../driver.ts";
import { LogWriter, START_MARK } from "../log-file.ts";
import { LogBytes } from "../log-bytes.ts";
import { readLogFile } from "../log-reader.ts";
import { isAfter, nanosOf } from "../log-time.ts";

/** `s`: what an engine prints may hold separators that end no line in a file, but do for a dot. */
const LINE = /^(\S+) (stdout|stderr) F (.*)$/s;
/** A time, at most 40 characters of it, and a stream. */
const MAX_PREFIX_LENGTH = 64;
/** Whatever tells whose lines follow begins with it; output cannot, since a time stands before it. */
const MARK = "=== ";
/** Lines of one message, a progress bar say, have one time; there are no more of them than this. */
const MAX_ALIKE = 20_000;
const HEADER_BYTES = 256;

/** How far the output of a container has been kept: up to the `count`th line of `time`. */
export interface Kept {
  readonly time: string;
  readonly count: number;
}

export interface ArchiveFileOptions {
  /** The container whose output is to be appended. */
  readonly container: string;
  readonly clock: Clock;
  readonly maxBytes: number;
}

export interface ArchiveFile {
  readonly writer: LogWriter;
  /** Undefined when nothing of this container has been kept yet. */
  readonly kept: Kept | undefined;
}

/** Opens the file to go on with the output of a container; that of another one is set apart. */
export async function openArchive(path: string, options: ArchiveFileOptions): Promise<ArchiveFile> {
  const { container, clock, maxBytes } = options;
  const writer = await LogWriter.open(path, { maxBytes, continued: `${MARK}continued container ${container}` });
  try {
    if ((await lastContainer(path)) === container) return { writer, kept: await lastKept(path, clock) };
    const startedAt = new Date(clock.wallNow()).toISOString();
    await writer.append(`${START_MARK} ${startedAt} container ${container}\n`);
    return { writer, kept: undefined };
  } catch (error) {
    await writer.close();
    throw error;
  }
}

/** The lines as they stand in the file. Those without a time, which Docker always gives, cannot be kept. */
export function formatLines(lines: readonly LogLine[]): string {
  const dated = lines.filter(({ time }) => time !== undefined);
  return dated.map(({ time, stream, text }) => `${time} ${stream} F ${text}\n`).join("");
}

/** Lines of the latest container of that file. */
export function readArchive(
  path: string,
  options: LogOptions,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<LogLine, void, undefined> {
  // What is read here is of a container that is gone: there is nothing to follow.
  const format = { clock, prefixLength: MAX_PREFIX_LENGTH, toLine, isAlive: () => Promise.resolve(false) };
  return readLogFile(path, { ...options, follow: false }, format, signal);
}

/** Leaves out what has been kept, where the output is read again from about there on. */
export class Remaining {
  readonly #kept: Kept | undefined;
  #isPast: boolean;
  #seen = 0;

  constructor(kept: Kept | undefined) {
    this.#kept = kept;
    this.#isPast = kept === undefined;
  }

  of(lines: readonly LogLine[]): readonly LogLine[] {
    return this.#isPast ? lines : lines.filter((line) => this.#isNew(line));
  }

  /** Once past the last line that was kept, order decides: the clock may have been set back since. */
  #isNew(line: LogLine): boolean {
    if (this.#isPast || this.#kept === undefined) return true;
    if (line.time === this.#kept.time) {
      this.#seen += 1;
      this.#isPast = this.#seen === this.#kept.count;
      return false;
    }
    this.#isPast = isAfter(line, nanosOf(this.#kept.time));
    return this.#isPast;
  }
}

function toLine(text: string): LogLine | undefined {
  const [, time, stream, rest] = LINE.exec(text) ?? [];
  if (time === undefined || rest === undefined) return undefined;
  return { text: rest, stream: stream === "stderr" ? "stderr" : "stdout", time };
}

/** Each file begins with a mark, so the newest one has one, unless it is empty. */
async function lastContainer(path: string): Promise<string | undefined> {
  const bytes = await LogBytes.open(path);
  if (bytes === undefined) return undefined;
  try {
    for await (const { position, first } of bytes.lineStarts()) {
      if (first !== MARK.charCodeAt(0) || !(await bytes.startsWith(position, MARK))) continue;
      const header = await bytes.read(position, Math.min(bytes.size, position + HEADER_BYTES));
      return /^.* container (\S+)\n/.exec(header.toString("latin1"))?.[1];
    }
    return undefined;
  } finally {
    await bytes.close();
  }
}

async function lastKept(path: string, clock: Clock): Promise<Kept | undefined> {
  const lines: LogLine[] = [];
  const never = new AbortController().signal;
  for await (const line of readArchive(path, { follow: false, tail: MAX_ALIKE }, clock, never)) lines.push(line);
  const time = lines.at(-1)?.time;
  if (time === undefined) return undefined;
  return { time, count: lines.filter((line) => line.time === time).length };
}
