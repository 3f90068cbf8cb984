// The log file of a process replica: the child writes it by itself (no pipe, so it outlives us); here it is opened, read and rotated.
import { copyFile, mkdir, open, stat, truncate, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { AimError, codeOf } from "../../errors.ts";
import { sleep, type Clock } from "../../lib/clock.ts";
import type { LogOptions } from "../driver.ts";
import { LineSplitter } from "./lines.ts";

export interface LogReader {
  readonly clock: Clock;
  /** Whether its writer still runs. */
  isAlive(): Promise<boolean>;
}

const BANNER = "=== started by aim-engine";
const FOLLOW_EVERY_MS = 200;
const CHUNK_BYTES = 64 * 1024;
/** However many lines are asked for, no more of the file than this is read for its tail. */
const MAX_TAIL_BYTES = 4 * 1024 * 1024;

/** Opens a log for a child to append to, after a line that separates it from what earlier replicas of that name wrote. */
export async function openLog(path: string, clock: Clock): Promise<FileHandle> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, "a", 0o640);
  await file.write(`\n${BANNER} ${new Date(clock.wallNow()).toISOString()}\n`);
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
): AsyncGenerator<string> {
  const file = await openIfThere(path);
  if (file === undefined) return;
  try {
    for await (const line of linesOf(file, { path, ...options }, reader, signal)) {
      if (signal.aborted) return;
      yield line;
    }
  } finally {
    await file.close();
  }
}

/** Keeps the old log as `<path>.1` and empties the file in place, once it is larger than `maxBytes`; its writers append, so they go on at its new end. */
export async function rotateLog(path: string, maxBytes: number): Promise<void> {
  const size = await stat(path).then(
    (found) => found.size,
    (error: unknown) => (codeOf(error) === "ENOENT" ? 0 : Promise.reject(asError(error))),
  );
  if (size <= maxBytes) return;
  await copyFile(path, olderLog(path));
  await truncate(path, 0);
}

interface Tail {
  readonly lines: readonly string[];
  /** How much of the file has been read. */
  readonly position: number;
  /** Holds the line that is not finished yet. */
  readonly splitter: LineSplitter;
}

/** Reads ever larger ends of the file until they hold enough lines; the rotated file lends what is missing. */
async function readTail(path: string, file: FileHandle, count: number): Promise<Tail> {
  const { size } = await file.stat();
  for (let window = CHUNK_BYTES; ; window *= 4) {
    const from = Math.max(0, size - window);
    const end = await readEnd(file, from, size);
    const isWhole = end.isFromStart || from === 0;
    if (end.lines.length < count && !isWhole && window < MAX_TAIL_BYTES) continue;
    const missing = end.isFromStart || from > 0 ? 0 : count - end.lines.length;
    const older = missing > 0 ? await readOlder(path, missing) : [];
    return { ...end, lines: [...older, ...lastOf(end.lines, count)], position: size };
  }
}

/** The lines from `from` on, less those of earlier starts. */
async function readEnd(
  file: FileHandle,
  from: number,
  size: number,
): Promise<Omit<Tail, "position"> & { readonly isFromStart: boolean }> {
  const splitter = new LineSplitter();
  const lines: string[] = [];
  for await (const chunk of readRange(file, from, size)) lines.push(...splitter.push(chunk));
  const banner = lines.findLastIndex((line) => line.startsWith(BANNER));
  if (banner >= 0) return { lines: lines.slice(banner + 1), splitter, isFromStart: true };
  // Where the window begins within the file, its first line is a fragment.
  return { lines: from === 0 ? lines : lines.slice(1), splitter, isFromStart: false };
}

async function readOlder(path: string, count: number): Promise<readonly string[]> {
  const file = await openIfThere(olderLog(path));
  if (file === undefined) return [];
  try {
    const { size } = await file.stat();
    return lastOf((await readEnd(file, Math.max(0, size - MAX_TAIL_BYTES), size)).lines, count);
  } finally {
    await file.close();
  }
}

async function* linesOf(
  file: FileHandle,
  options: LogOptions & { readonly path: string },
  reader: LogReader,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const tail = await readTail(options.path, file, options.tail);
  const { splitter } = tail;
  if (!options.follow) {
    yield* lastOf([...tail.lines, ...splitter.end()], options.tail);
    return;
  }
  yield* tail.lines;
  for (let position = tail.position, alive = true; alive && !signal.aborted;) {
    // Asked before the read, so that the last words of one that ends meanwhile are not missed.
    alive = await reader.isAlive();
    const { size } = await file.stat();
    const from = size < position ? 0 : position; // smaller than before: rotated
    for await (const chunk of readRange(file, from, size)) yield* splitter.push(chunk);
    position = size;
    // A rejected pause means that the signal has aborted: the loop ends by itself.
    if (alive) await sleep(reader.clock, FOLLOW_EVERY_MS, signal).catch(() => undefined);
  }
  yield* splitter.end();
}

async function* readRange(file: FileHandle, from: number, to: number): AsyncGenerator<Buffer> {
  for (let position = from; position < to;) {
    const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, to - position));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Array.slice(-0) is everything. */
function lastOf<T>(items: readonly T[], count: number): readonly T[] {
  return count <= 0 ? [] : items.slice(-count);
}

function olderLog(path: string): string {
  return `${path}.1`;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
