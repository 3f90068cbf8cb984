// The one line that each request leaves in the log, rendered in one go: pino looks at each field anew, and every request pays.

/** What is said of a request that has ended, in the order in which it is said; what is undefined is left out. */
export interface RequestEnd {
  readonly requestId: string;
  readonly route: string;
  readonly client: string | undefined;
  readonly priority: string | undefined;
  readonly model: string | undefined;
  readonly replica: string | undefined;
  readonly status: number;
  readonly outcome: string;
  readonly phase: string | undefined;
  readonly coldStart: boolean | undefined;
  readonly queueMs: number | undefined;
  readonly firstByteMs: number | undefined;
  readonly durationMs: number | undefined;
  readonly bytes: number;
  /** What went wrong, for operators. */
  readonly reason?: string;
}

/** The message of the line. */
export const REQUEST_ENDED = "request ended";

/** The line as pino writes it; `time` comes with its key, after a comma. No field is one of those that the logger redacts. */
export function requestLine(level: string, time: string, end: RequestEnd): string {
  return `{"level":"${level}"${time},${JSON.stringify(end).slice(1, -1)},"msg":"${REQUEST_ENDED}"}\n`;
}
