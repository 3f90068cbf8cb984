// The log of a replica as a response body: lines are taken from the source only as fast as the client reads them.
import { messageOf } from "../errors.ts";
import { sleep, type Clock } from "../lib/clock.ts";

interface Line {
  readonly text: string;
}

export interface LogStreamOptions {
  /** Opens the log; the signal aborts when the client goes or the gateway stops. */
  open(signal: AbortSignal): AsyncIterable<Line>;
  readonly format: LogFormat;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** How a line is written, and how a failure after the first line, when it is too late for an HTTP error. */
export interface LogFormat {
  readonly contentType: string;
  line(text: string): string;
  failure(message: string): string;
}

export const NDJSON: LogFormat = {
  contentType: "application/x-ndjson",
  line: (text) => `${JSON.stringify({ text })}\n`,
  failure: (message) => `${JSON.stringify({ error: { message } })}\n`,
};

export const PLAIN_TEXT: LogFormat = {
  contentType: "text/plain; charset=utf-8",
  line: (text) => `${text}\n`,
  failure: (message) => `[the log ends here: ${message}]\n`,
};

/** A quiet replica must not hold back the response's head for longer. */
const FIRST_LINE_MS = 300;

/** Rejects where the log cannot be opened, so that this is an HTTP error and not an empty log. */
export async function logStream(options: LogStreamOptions): Promise<ReadableStream<Uint8Array>> {
  const leaving = new AbortController();
  const signal = AbortSignal.any([options.signal, leaving.signal]);
  const lines = options.open(signal)[Symbol.asyncIterator]();
  const first = lines.next();
  await Promise.race([first, pause(options.clock, FIRST_LINE_MS, first)]);

  const body = render(lines, { first, format: options.format, signal });
  const reading: AsyncIterator<Uint8Array> = {
    next: () => body.next(),
    // The client left. A source that waits for its next line wakes only by the signal, so that comes first.
    async return() {
      leaving.abort(new Error("the reader of the log left"));
      await lines.return?.();
      return body.return(undefined);
    },
  };
  return ReadableStream.from({ [Symbol.asyncIterator]: () => reading });
}

async function* render(
  lines: AsyncIterator<Line>,
  options: {
    readonly first: Promise<IteratorResult<Line>>;
    readonly format: LogFormat;
    readonly signal: AbortSignal;
  },
): AsyncGenerator<Uint8Array, undefined> {
  const encoder = new TextEncoder();
  const { format, signal } = options;
  try {
    for (let line = await options.first; !line.done; line = await lines.next()) {
      yield encoder.encode(format.line(line.value.text));
    }
  } catch (error) {
    if (!signal.aborted) yield encoder.encode(format.failure(messageOf(error)));
  }
}

/** Resolves after `delayMs`, or with `work` when that ends first: no timer stays behind. */
async function pause(clock: Clock, delayMs: number, work: Promise<unknown>): Promise<void> {
  const ended = new AbortController();
  const end = () => ended.abort(new Error("the work has ended"));
  work.then(end, end);
  // A rejection is the abort, which means the same as the end of the pause.
  await sleep(clock, delayMs, ended.signal).catch(() => undefined);
}
