// The log files of replicas, in whatever runtime they run: named after them, rotated, deleted when they are long gone.
import { copyFile, mkdir, open, readdir, rename, rm, stat, truncate, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { codeOf } from "../errors.ts";
import type { Clock } from "../lib/clock.ts";

/** The line that separates a start from what earlier replicas of that name wrote begins with this. */
export const START_MARK = "=== started by aim-engine";
export const MAX_LOG_BYTES = 50 * 1024 * 1024;
const KEEP_MS = 7 * 24 * 60 * 60 * 1000;
const NAME = /^[a-z0-9][a-z0-9.-]*$/;

/** Whether a file can be named after it: labels can be made up, and a name may not lead elsewhere. */
export function canBeLogged(replica: string): boolean {
  return NAME.test(replica);
}

/** Where the output of a replica of that name goes. */
export function logPath(logDir: string, replica: string): string {
  return join(logDir, `${replica}.log`);
}

/** The files of one log, the oldest first; not all of them need be there. */
export function logFiles(path: string): readonly string[] {
  return [`${path}.2`, `${path}.1`, path];
}

/** Deletes all of it; whether there was any. */
export async function deleteLog(logDir: string, replica: string): Promise<boolean> {
  if (!canBeLogged(replica)) return false;
  const files = logFiles(logPath(logDir, replica));
  return (await Promise.all(files.map((file) => ifThere(rm(file), () => true, false)))).includes(true);
}

/**
 * Keeps the log as `<path>.1` and empties the file in place, once it is larger than `maxBytes`: for files that another
 * process has open and appends to, which goes on at the new end. What it writes between the two steps is lost.
 */
export async function rotateInPlace(path: string, maxBytes: number): Promise<void> {
  if ((await sizeOf(path)) <= maxBytes) return;
  await renameIfThere(`${path}.1`, `${path}.2`);
  try {
    await copyFile(path, `${path}.1`);
  } catch (error) {
    await rm(`${path}.1`, { force: true });
    // There is no room for old lines, and less with every new one.
    if (codeOf(error) !== "ENOSPC") throw error;
  }
  await truncate(path, 0);
}

export interface LogWriterOptions {
  readonly maxBytes: number;
  /** First line of a file that goes on where the one before it was full. */
  readonly continued: string;
}

/** Appends to a log that nobody else writes. After a failed append it has to be opened again, which mends the file. */
export class LogWriter {
  readonly #path: string;
  readonly #options: LogWriterOptions;
  #file: FileHandle;
  #size: number;

  private constructor(path: string, options: LogWriterOptions, opened: { file: FileHandle; size: number }) {
    this.#path = path;
    this.#options = options;
    this.#file = opened.file;
    this.#size = opened.size;
  }

  /** A half line at the end, which a crash or a full disk leaves, is removed. */
  static async open(path: string, options: LogWriterOptions): Promise<LogWriter> {
    await mkdir(dirname(path), { recursive: true });
    return new LogWriter(path, options, await openWhole(path));
  }

  /** `text` is whole lines. */
  async append(text: string): Promise<void> {
    const bytes = Buffer.from(text);
    if (this.#size > 0 && this.#size + bytes.length > this.#options.maxBytes) await this.#rotate();
    await this.#write(bytes);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #rotate(): Promise<void> {
    const next = this.#path;
    await renameIfThere(`${next}.1`, `${next}.2`);
    await rename(next, `${next}.1`);
    const opened = await openWhole(next);
    await this.#file.close();
    this.#file = opened.file;
    this.#size = opened.size;
    await this.#write(Buffer.from(`${this.#options.continued}\n`));
  }

  async #write(bytes: Buffer): Promise<void> {
    await this.#file.appendFile(bytes);
    this.#size += bytes.length;
  }
}

/**
 * Deletes what replicas have left that are gone for long; `live` are the names of those that are not. A live container
 * need not be named: what its engine still has of its output is fetched again.
 */
export async function deleteOldLogs(logDir: string, live: ReadonlySet<string>, clock: Clock): Promise<void> {
  const entries = await readdir(logDir).catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  });
  for (const entry of entries) {
    const [, replica] = /^(.+)\.log(?:\.[12])?$/.exec(entry) ?? [];
    if (replica === undefined || live.has(replica)) continue;
    // By its newest file: older ones of the same log are as old as their last line.
    const writtenAt = await writtenAtOf(logPath(logDir, replica), join(logDir, entry));
    if (clock.wallNow() - writtenAt > KEEP_MS) await rm(join(logDir, entry), { force: true });
  }
}

async function writtenAtOf(...paths: readonly string[]): Promise<number> {
  const times = await Promise.all(paths.map((path) => ifThere(stat(path), (found) => found.mtimeMs, 0)));
  return Math.max(...times);
}

function sizeOf(path: string): Promise<number> {
  return ifThere(stat(path), (found) => found.size, 0);
}

function renameIfThere(from: string, to: string): Promise<void> {
  return ifThere(rename(from, to), () => undefined, undefined);
}

async function ifThere<T, R>(work: Promise<T>, take: (found: T) => R, absent: R): Promise<R> {
  try {
    return take(await work);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return absent;
    throw error;
  }
}

async function openWhole(path: string): Promise<{ file: FileHandle; size: number }> {
  const file = await open(path, "a+", 0o640);
  try {
    const size = await endOfLastLine(file);
    await file.truncate(size);
    return { file, size };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function endOfLastLine(file: FileHandle): Promise<number> {
  const step = Buffer.alloc(16 * 1024);
  for (let end = (await file.stat()).size; end > 0;) {
    const from = Math.max(0, end - step.length);
    const { bytesRead } = await file.read(step, 0, end - from, from);
    const newline = step.subarray(0, bytesRead).lastIndexOf("\n");
    if (newline >= 0) return from + newline + 1;
    end = from;
  }
  return 0;
}
