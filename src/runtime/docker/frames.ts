// Turns a container's output, as Docker multiplexes and dates it, into lines.
import type { LogLine } from "../driver.ts";
import { LineSplitter } from "../process/lines.ts";

/** Stream number, three zero bytes, length of the payload (32 bit, big-endian). */
const HEADER_BYTES = 8;
const STDERR = 2;
/** No time that Docker writes before a message is longer. */
const MAX_TIME_BYTES = 40;
const SPACE = 0x20;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
const NO_BYTES = Buffer.alloc(0);

type StreamName = LogLine["stream"];

/**
 * The lines of a log that was asked for with `timestamps`, in the order they came, a batch for each piece of the stream.
 * With a terminal (`tty`) the stream has no frames.
 */
export async function* readLogLines(
  stream: AsyncIterable<Buffer>,
  options: { readonly tty: boolean },
): AsyncGenerator<readonly LogLine[], void, undefined> {
  const reader = options.tty ? new TerminalReader() : new FrameReader();
  for await (const chunk of stream) {
    const lines = reader.push(chunk);
    if (lines.length > 0) yield lines;
  }
  const rest = reader.end();
  if (rest.length > 0) yield rest;
}

/** The lines of one stream, each with the time of the message that ended it. */
class DatedLines {
  readonly #stream: StreamName;
  readonly #splitter = new LineSplitter();
  #time: string | undefined;

  constructor(stream: StreamName) {
    this.#stream = stream;
  }

  push(bytes: Buffer, time: string | undefined): LogLine[] {
    this.#time = time;
    return this.#splitter.push(bytes).map((text) => dated(text, this.#stream, time));
  }

  end(): LogLine[] {
    return this.#splitter.end().map((text) => dated(text, this.#stream, this.#time));
  }
}

/** Payloads are passed on as they come, never gathered; only a header or a time that is split over chunks is kept. */
class FrameReader {
  readonly #lines = { stdout: new DatedLines("stdout"), stderr: new DatedLines("stderr") };
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  /** Of the payload under way. */
  #remaining = 0;
  #date = new DateReader();

  push(chunk: Buffer): LogLine[] {
    const lines: LogLine[] = [];
    for (let rest = chunk; rest.length > 0;) {
      const isHeader = this.#remaining === 0;
      const part = rest.subarray(0, isHeader ? HEADER_BYTES - this.#headerBytes : this.#remaining);
      rest = rest.subarray(part.length);
      if (isHeader) this.#readHeader(part);
      else lines.push(...this.#readPayload(part));
    }
    return lines;
  }

  end(): LogLine[] {
    return [...this.#lines.stdout.end(), ...this.#lines.stderr.end()];
  }

  #readHeader(part: Buffer): void {
    this.#header.set(part, this.#headerBytes);
    this.#headerBytes += part.length;
    if (this.#headerBytes < HEADER_BYTES) return;
    this.#headerBytes = 0;
    this.#remaining = this.#header.readUInt32BE(4);
    // Each frame is one message of its own, with its own time: also one that goes on with a long line.
    this.#date = new DateReader();
  }

  #readPayload(part: Buffer): LogLine[] {
    this.#remaining -= part.length;
    const bytes = this.#date.push(part, { isLast: this.#remaining === 0 });
    return this.#lines[this.#header[0] === STDERR ? "stderr" : "stdout"].push(bytes, this.#date.time);
  }
}

/** Takes the time off the front of a message. */
class DateReader {
  #gathered: Buffer | undefined = NO_BYTES;
  time: string | undefined;

  /** The bytes behind the time, as far as they are known. */
  push(part: Buffer, { isLast }: { readonly isLast: boolean }): Buffer {
    if (this.#gathered === undefined) return part;
    const gathered = Buffer.concat([this.#gathered, part]);
    const space = gathered.indexOf(SPACE);
    this.#gathered = gathered;
    if (space < 0 && gathered.length < MAX_TIME_BYTES && !isLast) return NO_BYTES;
    this.#gathered = undefined;
    const word = gathered.toString("latin1", 0, Math.max(0, space));
    if (!TIME.test(word)) return gathered;
    this.time = word;
    return gathered.subarray(space + 1);
  }
}

/** Only what a container of somebody else's making has: messages are told apart by their times alone. */
class TerminalReader {
  readonly #splitter = new LineSplitter();
  #time: string | undefined;

  push(chunk: Buffer): LogLine[] {
    return this.#splitter.push(chunk).flatMap((line) => this.#read(line));
  }

  end(): LogLine[] {
    return this.#splitter.end().flatMap((line) => this.#read(line));
  }

  #read(line: string): LogLine[] {
    const [word = ""] = line.split(" ", 1);
    const isDated = TIME.test(word);
    if (isDated) this.#time = word;
    const text = isDated ? line.slice(word.length + 1) : line;
    return text === "" ? [] : [dated(text, "stdout", this.#time)];
  }
}

function dated(text: string, stream: StreamName, time: string | undefined): LogLine {
  return time === undefined ? { text, stream } : { text, stream, time };
}
