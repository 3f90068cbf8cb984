// The log: pino, JSON lines; pretty on a terminal. Messages are constant sentences, values are fields.
import { writeSync } from "node:fs";
import { pino, type DestinationStream, type Logger } from "pino";

export type { Logger } from "pino";

export interface LoggerOptions {
  readonly level: string;
  /** For people at a terminal; JSON otherwise. */
  readonly pretty: boolean;
}

export function createLogger(options: LoggerOptions): Logger {
  const redact = ["authorization", "apiKey", "*.authorization", "*.apiKey", "headers.authorization"];
  if (!options.pretty)
    return pino({ level: options.level, redact, base: null, timestamp: pino.stdTimeFunctions.isoTime }, linesTo(1));
  const transport = {
    target: "pino-pretty",
    options: { translateTime: "SYS:HH:MM:ss", ignore: "pid,hostname", singleLine: true },
  };
  return pino({ level: options.level, redact, transport });
}

/** Writes each line to a file descriptor at once, or not at all: it never throws. */
export function linesTo(fd: number): DestinationStream {
  return {
    write(line) {
      try {
        for (let rest = Buffer.from(line); rest.length > 0;) rest = rest.subarray(writeSync(fd, rest));
      } catch {
        // The disk is full or the reader has left. Whoever logs must not fail for it, least of all a gateway that serves.
      }
    },
  };
}

/** For tests and offline commands. */
export const silentLogger: Logger = pino({ level: "silent" });
