// Turns a container's output, as Docker multiplexes it, into lines.
import type { LogLine } from "../driver.ts";
import { LineSplitter } from "../process/lines.ts";

/** Stream number, three zero bytes, length of the payload (32 bit, big-endian). */
const HEADER_BYTES = 8;
const STDERR = 2;

/** Lines of stdout and stderr in the order they came. With a terminal (`tty`) the stream has no frames. */
export async function* readLogLines(
  stream: AsyncIterable<Buffer>,
  options: { readonly tty: boolean },
): AsyncGenerator<LogLine, void, undefined> {
  const splitters = { stdout: new LineSplitter(), stderr: new LineSplitter() };
  const pieces = options.tty ? raw(stream) : demultiplex(stream);
  for await (const piece of pieces) {
    for (const text of splitters[piece.stream].push(piece.bytes)) yield { text, stream: piece.stream };
  }
  for (const name of ["stdout", "stderr"] as const) {
    for (const text of splitters[name].end()) yield { text, stream: name };
  }
}

interface Piece {
  readonly stream: "stdout" | "stderr";
  readonly bytes: Buffer;
}

async function* raw(stream: AsyncIterable<Buffer>): AsyncGenerator<Piece, void, undefined> {
  for await (const bytes of stream) yield { stream: "stdout", bytes };
}

async function* demultiplex(stream: AsyncIterable<Buffer>): AsyncGenerator<Piece, void, undefined> {
  const frames = new FrameReader();
  for await (const chunk of stream) yield* frames.push(chunk);
}

/** Payloads are passed on as they come, never gathered; only a header that is split over chunks is kept. */
class FrameReader {
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  /** Of the payload under way. */
  #remaining = 0;

  *push(chunk: Buffer): Generator<Piece, void, undefined> {
    for (let rest = chunk; rest.length > 0;) {
      const isHeader = this.#remaining === 0;
      const part = rest.subarray(0, isHeader ? HEADER_BYTES - this.#headerBytes : this.#remaining);
      rest = rest.subarray(part.length);
      if (isHeader) {
        this.#readHeader(part);
      } else {
        this.#remaining -= part.length;
        yield { stream: this.#header[0] === STDERR ? "stderr" : "stdout", bytes: part };
      }
    }
  }

  #readHeader(part: Buffer): void {
    this.#header.set(part, this.#headerBytes);
    this.#headerBytes += part.length;
    if (this.#headerBytes < HEADER_BYTES) return;
    this.#headerBytes = 0;
    this.#remaining = this.#header.readUInt32BE(4);
  }
}
