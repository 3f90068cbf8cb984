// Follows the body of an answer to its last byte, and hands on what it is made of.
import { addHeaderLine, BadAnswer, type Framing } from "./head.ts";

/** Who is given the body. */
export interface BodySink {
  /** Whether whole chunks may be handed over together with what frames them. */
  readonly takesFrames: boolean;
  /** One or more whole chunks as they came over the wire, with `contentBytes` bytes of content among them. */
  onFrames(bytes: Buffer, contentBytes: number): void;
  /** Content without any framing. */
  onContent(bytes: Buffer): void;
}

export interface BodyReader {
  readonly isComplete: boolean;
  /** Whether the end of the connection is how it ends. */
  readonly endsWithConnection: boolean;
  /** Reads on from `start`; returns how far it got, which is less than the length only where the body ends before. */
  read(bytes: Buffer, start: number, sink: BodySink): number;
  /** Hands on nothing more, be it called from within `read`. */
  stop(): void;
}

/** Of a body that is framed like this. */
export function readerOf(framing: Framing): BodyReader {
  if (framing.kind === "chunked") return new ChunkedBody();
  return new PlainBody(framing.kind === "length" ? framing.bytes : Infinity);
}

/** A body of known length, or of as much as comes. */
class PlainBody implements BodyReader {
  readonly endsWithConnection: boolean;
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
    this.endsWithConnection = bytes === Infinity;
  }

  get isComplete(): boolean {
    return this.#left === 0;
  }

  read(bytes: Buffer, start: number, sink: BodySink): number {
    const end = Math.min(bytes.length, start + this.#left);
    this.#left -= end - start;
    if (end > start) sink.onContent(bytes.subarray(start, end));
    return end;
  }

  stop(): void {
    this.#left = 0;
  }
}

const CR = 0x0d;
const LF = 0x0a;
/** 13 hexadecimal digits are 2^52: sizes stay exact. */
const MAX_SIZE_DIGITS = 13;
/** A size, and extensions that are read over; RFC 9112 7.1, but without blanks and backslashes in them. */
const SIZE_LINE =
  /^([\da-f]{1,13})(?:;[!#$%&'*+\-.^_`|~\w]+(?:=(?:[!#$%&'*+\-.^_`|~\w]+|"[\t !#-[\]-~\x80-\xff]*"))?)*$/i;
/** Of the size line of one chunk, and of all trailers. */
const MAX_LINE_BYTES = 8 * 1024;
/** Chunks up to this size are handed on whole. */
const MAX_HELD_BYTES = 64 * 1024;

/**
 * RFC 9112 7.1. Mostly a read holds whole chunks, one for each event, and those go on as they are. A chunk that lies across reads
 * is handed on as content, so that nobody behind us ever stands in the middle of a chunk: when it is whole, unless it is large.
 * Engines write an event as one chunk, so that one who dies in the middle of an event leaves nobody with half of it.
 *
 *   size       a line with the size of a chunk, 0 for the end
 *   data       so many bytes
 *   data_end   an empty line
 *   trailer    lines that nobody waits for, up to an empty one
 *   done
 */
class ChunkedBody implements BodyReader {
  readonly endsWithConnection = false;
  #state: "size" | "data" | "data_end" | "trailer" | "done" = "size";
  /** Bytes of data in the chunk, and those that it still has. */
  #size = 0;
  #left = 0;
  /** What came of a chunk that is handed on whole. */
  #held: Buffer | undefined;
  /** What came of a line whose end has not come. */
  #line = "";
  #trailerBytes = 0;

  get isComplete(): boolean {
    return this.#state === "done";
  }

  // Where the state changes and the sink is called, the state comes first: the sink may `stop`.
  read(bytes: Buffer, start: number, sink: BodySink): number {
    let at = start;
    while (at < bytes.length && this.#state !== "done") {
      const begin = at;
      if (this.#state === "data") at = this.#passContent(bytes, at, sink);
      else if (this.#state === "size" && this.#line === "" && sink.takesFrames) at = passFrames(bytes, at, sink);
      if (at === begin) at = this.#takeLine(bytes, at);
    }
    return at;
  }

  stop(): void {
    this.#state = "done";
  }

  #passContent(bytes: Buffer, start: number, sink: BodySink): number {
    const end = Math.min(bytes.length, start + this.#left);
    const piece = bytes.subarray(start, end);
    this.#left -= piece.length;
    if (this.#left === 0) this.#state = "data_end";
    const content = this.#handedOn(piece);
    if (content !== undefined) sink.onContent(content);
    return end;
  }

  /** The piece itself where it is the chunk, or of a large one; of others the whole, with the last of them. */
  #handedOn(piece: Buffer): Buffer | undefined {
    if (piece.length === this.#size || this.#size > MAX_HELD_BYTES) return piece;
    this.#held ??= Buffer.allocUnsafeSlow(this.#size);
    // A copy: the memory it came in is read into again.
    piece.copy(this.#held, this.#size - this.#left - piece.length);
    if (this.#left > 0) return undefined;
    const whole = this.#held;
    this.#held = undefined;
    return whole;
  }

  #takeLine(bytes: Buffer, start: number): number {
    const feed = bytes.indexOf(LF, start);
    const end = feed < 0 ? bytes.length : feed + 1;
    if (this.#line.length + end - start + this.#trailerBytes > MAX_LINE_BYTES)
      throw new BadAnswer("a chunk's size or the trailers do not end");
    this.#line += bytes.toString("latin1", start, end);
    if (feed < 0) return end;
    if (!this.#line.endsWith("\r\n")) throw new BadAnswer("a line among the chunks ends with a bare line feed");
    const line = this.#line.slice(0, -2);
    this.#line = "";
    this.#onLine(line);
    return end;
  }

  #onLine(line: string): void {
    if (this.#state === "size") {
      this.#size = sizeIn(line);
      this.#left = this.#size;
      this.#state = this.#left === 0 ? "trailer" : "data";
    } else if (this.#state === "data_end") {
      if (line !== "") throw new BadAnswer("a chunk does not end where it says");
      this.#state = "size";
    } else if (line === "") {
      this.#state = "done";
    } else {
      checkTrailer(line);
      this.#trailerBytes += line.length + 2;
    }
  }
}

function sizeIn(line: string): number {
  const digits = SIZE_LINE.exec(line)?.[1];
  if (digits === undefined) throw new BadAnswer("a chunk has no proper size");
  return parseInt(digits, 16);
}

function checkTrailer(line: string): void {
  const headers: string[] = [];
  addHeaderLine(headers, line);
  if (headers[0] === "content-length" || headers[0] === "transfer-encoding")
    throw new BadAnswer("a trailer says how the answer is framed");
}

/** Hands on the whole chunks that lie at `start`; returns where they end. */
function passFrames(bytes: Buffer, start: number, sink: BodySink): number {
  let content = 0;
  let end = start;
  for (;;) {
    const size = sizeAt(bytes, end);
    if (size <= 0) break;
    const dataEnd = sizeLineEnd + size;
    if (dataEnd + 2 > bytes.length || bytes[dataEnd] !== CR || bytes[dataEnd + 1] !== LF) break;
    end = dataEnd + 2;
    content += size;
  }
  if (end > start) sink.onFrames(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), content);
  return end;
}

/** Where the size line that `sizeAt` read last ends: a second result that costs no object in the hottest loop there is. */
let sizeLineEnd = 0;

/** The size of the chunk at `start` where its size line is there and plain; -1 otherwise. */
function sizeAt(bytes: Buffer, start: number): number {
  let size = 0;
  let at = start;
  for (; at < bytes.length && at - start <= MAX_SIZE_DIGITS; at++) {
    const digit = hexDigit(bytes[at] ?? 0);
    if (digit < 0) break;
    size = size * 16 + digit;
  }
  if (at === start || at - start > MAX_SIZE_DIGITS || bytes[at] !== CR || bytes[at + 1] !== LF) return -1;
  sizeLineEnd = at + 2;
  return size;
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
