// The log: pino, JSON lines; pretty on a terminal. Messages are constant sentences, values are fields.
import { codeOf } from "../errors.ts";
import { writeSync } from "node:fs";
import { pino, symbols, type DestinationStream, type Logger } from "pino";
import { REQUEST_ENDED, requestLine, type RequestEnd } from "./request-line.ts";

export type { Logger } from "pino";

export interface LoggerOptions {
  readonly level: string;
  /** For people at a terminal; JSON otherwise. */
  readonly pretty: boolean;
}

/** No wildcards: with one, every line is searched through, at three times the cost of writing it. */
const REDACTED = ["authorization", "apiKey", "headers.authorization"];

/** JSON lines go to `destination`, together where they fall into one turn of the event loop. */
export function createLogger(options: LoggerOptions, destination: DestinationStream = linesTo(1)): Logger {
  const redact = REDACTED;
  // Levels as words: who reads the log with grep does not know that 40 is a warning.
  const formatters = { level: (label: string) => ({ level: label }) };
  if (!options.pretty) {
    const output = gathered(destination);
    const logger = pino({ level: options.level, redact, base: null, timestamp: isoTime, formatters }, output);
    outputs.set(logger, output);
    return logger;
  }
  const transport = {
    target: "pino-pretty",
    options: { translateTime: "SYS:HH:MM:ss", ignore: "pid,hostname", singleLine: true },
  };
  return pino({ level: options.level, redact, transport });
}

/** Where the loggers write that were made here for JSON lines: their form is known. */
const outputs = new WeakMap<Logger, LevelledStream>();

/** The line of a request that has ended: what `logger[level](end, REQUEST_ENDED)` says, at less than half the cost. */
export function logRequest(logger: Logger, level: "debug" | "info" | "warn", end: RequestEnd): void {
  if (!logger.isLevelEnabled(level)) return;
  const output = outputs.get(logger);
  if (output === undefined) return logger[level](end, REQUEST_ENDED);
  output.lastLevel = pino.levels.values[level] ?? WARN;
  output.write(requestLine(level, isoTime(), end));
}

/** The log of a thread whose lines another one writes, to a log of the same options: see `addLines`. */
export function createThreadLogger(options: LoggerOptions, destination: DestinationStream): Logger {
  if (!options.pretty) return createLogger(options, destination);
  // What makes lines pretty reads them in their plain form.
  return pino({ level: options.level, redact: REDACTED }, gathered(destination));
}

/** At once, for there may be warnings among them. */
export function addLines(logger: Logger, lines: string): void {
  const output = outputs.get(logger);
  if (output !== undefined) {
    output.lastLevel = WARN;
    output.write(lines);
    return;
  }
  const stream: unknown = Object.getOwnPropertyDescriptor(logger, symbols.streamSym)?.value;
  // One that writes nowhere has no stream.
  if (isStream(stream)) stream.write(lines);
}

function isStream(value: unknown): value is DestinationStream {
  return typeof value === "object" && value !== null && "write" in value && typeof value.write === "function";
}

let saidMs = 0;
let said = "";

/** Many lines fall into one millisecond, and rendering it is dear. */
function isoTime(): string {
  const now = Date.now();
  if (now !== saidMs) said = `,"time":"${new Date(now).toISOString()}"`;
  saidMs = now;
  return said;
}

/** What pino sets on a destination that asks for it by this symbol, before each line. */
interface LevelledStream extends DestinationStream {
  lastLevel: number;
}

/**
 * Passes on together what is written within one turn of the event loop, and what is left when the process ends. Warnings and
 * worse take what is before them along at once.
 */
export function gathered(destination: DestinationStream): LevelledStream {
  let lines = "";
  const flush = () => {
    const all = lines;
    lines = "";
    if (all !== "") destination.write(all);
  };
  process.on("exit", flush);
  const stream: LevelledStream & { readonly [METADATA]: true } = {
    [METADATA]: true,
    lastLevel: 0,
    write(line) {
      if (lines === "") setImmediate(flush);
      lines += line;
      if (stream.lastLevel >= WARN) flush();
    },
  };
  return stream;
}

const METADATA = Symbol.for("pino.metadata");
const WARN = 40;

/** How often a reader that has fallen behind is given a millisecond to catch up. */
const PAUSES = 50;

/**
 * Writes each line to a file descriptor at once, or not at all: it never throws, and waits for a slow reader but once.
 * Whoever logs must not fail or stand still because the disk is full or nobody reads, least of all a gateway that serves.
 */
export function linesTo(fd: number): DestinationStream {
  let isStalled = false;
  let isCut = false;
  return {
    write(line) {
      const bytes = Buffer.from(isCut ? `\n${line}` : line);
      let written = 0;
      for (let pauses = isStalled ? 0 : PAUSES; written < bytes.length; pauses--) {
        const count = tryWrite(fd, bytes.subarray(written));
        if (count === "failed" || (count === 0 && pauses <= 0)) break;
        if (count === 0) Atomics.wait(NOBODY, 0, 0, 1);
        written += count;
      }
      isStalled = written < bytes.length;
      if (written > 0) isCut = isStalled;
    },
  };
}

/** Nobody ever wakes who waits on it. */
const NOBODY = new Int32Array(new SharedArrayBuffer(4));

/** How many bytes were taken: 0 where the reader is behind. */
function tryWrite(fd: number, bytes: Buffer): number | "failed" {
  try {
    return writeSync(fd, bytes);
  } catch (error) {
    return codeOf(error) === "EAGAIN" ? 0 : "failed";
  }
}

/** For tests and offline commands. */
export const silentLogger: Logger = pino({ level: "silent" });
