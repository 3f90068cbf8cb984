// Reads the log of a replica from its rotated files: the last lines of its latest start, and then what comes.
import { sleep, type Clock } from "../lib/clock.ts";
import type { LogLine, LogOptions } from "./driver.ts";
import { LogBytes, readRange } from "./log-bytes.ts";
import { START_MARK } from "./log-file.ts";
import { isAfter, sinceNanos } from "./log-time.ts";
import { LineSplitter, MAX_LINE_LENGTH } from "./process/lines.ts";

/** How a file is to be read. */
export interface LogFormat {
  readonly clock: Clock;
  /** How long what `toLine` takes off a line can be; output is bounded without it. */
  readonly prefixLength: number;
  /** Undefined for a line that is not the replica's. */
  toLine(text: string): LogLine | undefined;
  /** Whether its writer still runs: until then it is followed. */
  readonly isAlive: () => Promise<boolean>;
}

const FOLLOW_EVERY_MS = 200;

/** Lines of the latest start. Ends when its writer is gone and all is read, or at once when the signal aborts. */
export async function* readLogFile(
  path: string,
  options: LogOptions,
  format: LogFormat,
  signal: AbortSignal,
): AsyncGenerator<LogLine, void, undefined> {
  const since = sinceNanos(options.since);
  const bytes = await LogBytes.open(path);
  if (bytes === undefined) return;
  try {
    for await (const text of textsOf(bytes, options, format, signal)) {
      if (signal.aborted) return;
      const line = format.toLine(text);
      if (line !== undefined && isAfter(line, since)) yield line;
    }
  } finally {
    await bytes.close();
  }
}

async function* textsOf(
  bytes: LogBytes,
  { follow, tail }: LogOptions,
  format: LogFormat,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const splitter = new LineSplitter({ maxLength: MAX_LINE_LENGTH + format.prefixLength });
  const start = await findTail(bytes, follow && !(await bytes.endsWithLine()) ? tail + 1 : tail);
  for await (const chunk of bytes.range(start, bytes.size)) yield* splitter.push(chunk);
  if (follow) for await (const chunk of growth(bytes, format, signal)) yield* splitter.push(chunk);
  yield* splitter.end();
}

/** Where the last `count` lines of the latest start begin. */
async function findTail(bytes: LogBytes, count: number): Promise<number> {
  let position = bytes.size;
  if (count === 0) return position;
  let found = 0;
  for await (const start of bytes.lineStarts()) {
    const mayBeMark = start.first === START_MARK.charCodeAt(0);
    if (mayBeMark && (await bytes.startsWith(start.position, START_MARK))) break;
    position = start.position;
    found += 1;
    if (found === count) break;
  }
  return position;
}

/** What is appended to the newest file from now on. */
async function* growth(bytes: LogBytes, { clock, isAlive }: LogFormat, signal: AbortSignal): AsyncGenerator<Buffer> {
  const { file, size: sizeThen } = bytes.newest;
  let position = sizeThen;
  for (let alive = true; alive && !signal.aborted;) {
    // Asked before the read, so that the last words of one that ends meanwhile are not missed.
    alive = await isAlive();
    const { size } = await file.stat();
    const from = size < position ? 0 : position; // smaller than before: rotated
    yield* readRange(file, from, size);
    position = size;
    // A rejected pause means that the signal has aborted: the loop ends by itself.
    if (alive) await sleep(clock, FOLLOW_EVERY_MS, signal).catch(() => undefined);
  }
}
