// The log: pino, JSON lines; pretty on a terminal. Messages are constant sentences, values are fields.
import { pino, type Logger } from "pino";

export type { Logger } from "pino";

export interface LoggerOptions {
  readonly level: string;
  /** For people at a terminal; JSON otherwise. */
  readonly pretty: boolean;
}

export function createLogger(options: LoggerOptions): Logger {
  const redact = ["authorization", "apiKey", "*.authorization", "*.apiKey", "headers.authorization"];
  if (!options.pretty)
    return pino({ level: options.level, redact, base: null, timestamp: pino.stdTimeFunctions.isoTime });
  const transport = {
    target: "pino-pretty",
    options: { translateTime: "SYS:HH:MM:ss", ignore: "pid,hostname", singleLine: true },
  };
  return pino({ level: options.level, redact, transport });
}

/** For tests and offline commands. */
export const silentLogger: Logger = pino({ level: "silent" });
