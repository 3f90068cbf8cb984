// What comes in pieces (a log, the progress of a pull) as a response body: values are taken only as fast as the client reads them.
import { isAimError, messageOf } from "../errors.ts";
import { sleep, type Clock } from "../lib/clock.ts";

export interface ValueStreamOptions<T> {
  /** Begins the work; the signal aborts when the client goes or the gateway stops. */
  open(signal: AbortSignal): AsyncIterable<T>;
  readonly format: StreamFormat<T>;
  /** The response's head goes out then at the latest; until the first value a failure can still be an HTTP error. */
  readonly headWithinMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** How a value is written, and how a failure after the first one, when it is too late for an HTTP error. */
export interface StreamFormat<T> {
  readonly contentType: string;
  value(value: T): string;
  failure(error: unknown): string;
}

/** One JSON value per line. */
export const NDJSON: StreamFormat<unknown> = {
  contentType: "application/x-ndjson",
  value: (value) => `${JSON.stringify(value)}\n`,
  failure: (error) => `${JSON.stringify({ error: errorObject(error) })}\n`,
};

export const LOG_LINES: StreamFormat<{ readonly text: string }> = {
  ...NDJSON,
  value: ({ text }) => NDJSON.value({ text }),
};

export const PLAIN_LOG_LINES: StreamFormat<{ readonly text: string }> = {
  contentType: "text/plain; charset=utf-8",
  value: ({ text }) => `${text}\n`,
  failure: (error) => `[the log ends here: ${messageOf(error)}]\n`,
};

/** Rejects where the work fails before its first value, so that this is an HTTP error and not an empty stream. */
export async function valueStream<T>(options: ValueStreamOptions<T>): Promise<ReadableStream<Uint8Array>> {
  const leaving = new AbortController();
  const signal = AbortSignal.any([options.signal, leaving.signal]);
  const values = options.open(signal)[Symbol.asyncIterator]();
  const first = values.next();
  await Promise.race([first, pause(options.clock, options.headWithinMs, first)]);

  const body = render(values, first, options.format);
  const reading: AsyncIterator<Uint8Array> = {
    next: () => body.next(),
    // The client left. A source that waits for its next value wakes only by the signal, so that comes first.
    async return() {
      leaving.abort(new Error("the reader of the stream left"));
      await values.return?.();
      return body.return(undefined);
    },
  };
  return ReadableStream.from({ [Symbol.asyncIterator]: () => reading });
}

async function* render<T>(
  values: AsyncIterator<T>,
  first: Promise<IteratorResult<T>>,
  format: StreamFormat<T>,
): AsyncGenerator<Uint8Array, undefined> {
  const encoder = new TextEncoder();
  try {
    for (let next = await first; !next.done; next = await values.next()) {
      yield encoder.encode(format.value(next.value));
    }
  } catch (error) {
    yield encoder.encode(format.failure(error));
  }
}

/** Those who read this are operators: they are told what went wrong, be it a fault of ours. */
function errorObject(error: unknown): object {
  if (!isAimError(error))
    return { message: messageOf(error), type: "server_error", param: null, code: "internal_error" };
  return { message: error.message, type: error.type, param: error.param ?? null, code: error.code };
}

/** Resolves after `delayMs`, or with `work` when that ends first: no timer stays behind. */
async function pause(clock: Clock, delayMs: number, work: Promise<unknown>): Promise<void> {
  const ended = new AbortController();
  const end = () => ended.abort(new Error("the work has ended"));
  work.then(end, end);
  // A rejection is the abort, which means the same as the end of the pause.
  await sleep(clock, delayMs, ended.signal).catch(() => undefined);
}
