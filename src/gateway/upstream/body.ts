// Follows the body of an answer to its last byte, and hands on what it is made of.
import { BadAnswer, type Framing } from "./head.ts";

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
}

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
    if (end > start) sink.onContent(bytes.subarray(start, end));
    this.#left -= end - start;
    return end;
  }
}

const CR = 0x0d;
const LF = 0x0a;
const SEMICOLON = 0x3b;
/** 13 hexadecimal digits are 2^52: sizes stay exact. */
const MAX_SIZE_DIGITS = 13;
/** Of the extensions of one chunk, and of all trailers. */
const MAX_ASIDE_BYTES = 8 * 1024;

/**
 * RFC 9112 7.1. Mostly a read holds whole chunks, one for each event, and those go on as they are; the pieces of a chunk that
 * lies across reads are handed on as content, so that nobody behind us ever stands in the middle of a chunk.
 */
class ChunkedBody implements BodyReader {
  readonly endsWithConnection = false;
  #state:
    | "size"
    | "extension"
    | "size_end"
    | "data"
    | "data_cr"
    | "data_lf"
    | "trailer"
    | "trailer_line"
    | "end_lf"
    | "done" = "size";
  #size = 0;
  #digits = 0;
  #asideBytes = 0;

  get isComplete(): boolean {
    return this.#state === "done";
  }

  read(bytes: Buffer, start: number, sink: BodySink): number {
    let at = start;
    while (at < bytes.length && this.#state !== "done") {
      if (this.#state === "size" && this.#digits === 0 && sink.takesFrames) {
        const end = this.#passFrames(bytes, at, sink);
        if (end > at) {
          at = end;
          continue;
        }
      }
      if (this.#state === "data") at = this.#passContent(bytes, at, sink);
      else this.#step(bytes[at++] ?? 0);
    }
    return at;
  }

  /** Hands on the whole chunks that lie at `start`; returns where they end. */
  #passFrames(bytes: Buffer, start: number, sink: BodySink): number {
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

  #passContent(bytes: Buffer, start: number, sink: BodySink): number {
    const end = Math.min(bytes.length, start + this.#size);
    sink.onContent(bytes.subarray(start, end));
    this.#size -= end - start;
    if (this.#size === 0) this.#state = "data_cr";
    return end;
  }

  /** One byte of what is not data. */
  #step(byte: number): void {
    switch (this.#state) {
      case "size":
        return this.#sizeByte(byte);
      case "extension":
        this.#aside();
        if (byte === CR) this.#state = "size_end";
        else if (byte === LF) throw new BadAnswer("a chunk's size ends with a bare line feed");
        return;
      case "size_end":
        this.#expect(byte, LF);
        this.#asideBytes = 0;
        this.#digits = 0;
        this.#state = this.#size === 0 ? "trailer" : "data";
        return;
      case "data_cr":
        this.#expect(byte, CR);
        this.#state = "data_lf";
        return;
      case "data_lf":
        this.#expect(byte, LF);
        this.#state = "size";
        return;
      case "trailer":
      case "trailer_line":
        return this.#trailerByte(byte);
      case "end_lf":
        this.#expect(byte, LF);
        this.#state = "done";
        return;
      // Not bytes of the framing.
      case "data":
      case "done":
        return;
    }
  }

  #sizeByte(byte: number): void {
    const digit = hexDigit(byte);
    if (digit >= 0) {
      if (++this.#digits > MAX_SIZE_DIGITS) throw new BadAnswer("a chunk's size has too many digits");
      this.#size = this.#size * 16 + digit;
      return;
    }
    if (this.#digits === 0) throw new BadAnswer("a chunk has no size");
    if (byte === CR) this.#state = "size_end";
    else if (byte === SEMICOLON) this.#state = "extension";
    else throw new BadAnswer("a chunk's size is not hexadecimal");
  }

  /** Trailers are read over: nobody behind us waits for them. */
  #trailerByte(byte: number): void {
    if (this.#state === "trailer" && byte === CR) this.#state = "end_lf";
    else {
      this.#aside();
      this.#state = byte === LF ? "trailer" : "trailer_line";
    }
  }

  #aside(): void {
    if (++this.#asideBytes > MAX_ASIDE_BYTES) throw new BadAnswer("a chunk's extensions or the trailers do not end");
  }

  #expect(byte: number, expected: number): void {
    if (byte !== expected) throw new BadAnswer("a chunk does not end where it says");
  }
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
