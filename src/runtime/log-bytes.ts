// The rotated files of one log as one run of bytes, and where its lines begin.
import { open, type FileHandle } from "node:fs/promises";
import { codeOf } from "../errors.ts";
import { logFiles } from "./log-file.ts";

const CHUNK_BYTES = 64 * 1024;
const [LINE_FEED, RETURN] = [0x0a, 0x0d];

interface Part {
  readonly file: FileHandle;
  readonly from: number;
  readonly to: number;
}

export interface LineStart {
  readonly position: number;
  readonly first: number;
}

/** What the files held when they were opened. Close it. */
export class LogBytes {
  readonly #parts: readonly Part[];
  readonly #newest: Part;

  private constructor(parts: readonly Part[], newest: Part) {
    this.#parts = parts;
    this.#newest = newest;
  }

  /** Undefined when there is no log of that path. */
  static async open(path: string): Promise<LogBytes | undefined> {
    const parts: Part[] = [];
    try {
      for (const name of logFiles(path)) {
        const file = await openIfThere(name);
        if (file === undefined) continue;
        const from = parts.at(-1)?.to ?? 0;
        const part = { file, from, to: from };
        parts.push(part);
        part.to += (await file.stat()).size;
      }
    } catch (error) {
      await closeAll(parts);
      throw error;
    }
    const newest = parts.at(-1);
    return newest === undefined ? undefined : new LogBytes(parts, newest);
  }

  get size(): number {
    return this.#newest.to;
  }

  /** The newest file, which may grow, and its size when it was opened. */
  get newest(): { readonly file: FileHandle; readonly size: number } {
    const { file, from, to } = this.#newest;
    return { file, size: to - from };
  }

  async *range(from: number, to: number): AsyncGenerator<Buffer> {
    for (const part of this.#parts) {
      const [start, end] = [Math.max(from, part.from), Math.min(to, part.to)];
      if (start < end) yield* readRange(part.file, start - part.from, end - part.from);
    }
  }

  async read(from: number, to: number): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for await (const chunk of this.range(from, to)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  /** Where lines begin that are not empty, and with which byte; the last one first. */
  async *lineStarts(): AsyncGenerator<LineStart> {
    for (let end = this.size; end > 0;) {
      const from = Math.max(0, end - CHUNK_BYTES);
      // With the byte before, which tells whether a line begins with the first.
      const before = from === 0 ? 0 : 1;
      const chunk = await this.read(from - before, end);
      for (let at = chunk.length - 1; at >= before; at--) {
        const first = chunk[at] ?? LINE_FEED;
        const isStart = !isBreak(first) && (at === 0 || isBreak(chunk[at - 1]));
        if (isStart) yield { position: from - before + at, first };
      }
      end = from;
    }
  }

  async startsWith(position: number, text: string): Promise<boolean> {
    return (await this.read(position, Math.min(this.size, position + text.length))).toString("latin1") === text;
  }

  async endsWithLine(): Promise<boolean> {
    const [last] = await this.read(Math.max(0, this.size - 1), this.size);
    return last === undefined || isBreak(last);
  }

  async close(): Promise<void> {
    await closeAll(this.#parts);
  }
}

async function closeAll(parts: readonly Part[]): Promise<void> {
  await Promise.all(parts.map(({ file }) => file.close()));
}

/** A part of a file; shorter where the file has been cut meanwhile. */
export async function* readRange(file: FileHandle, from: number, to: number): AsyncGenerator<Buffer> {
  for (let position = from; position < to;) {
    const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, to - position));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

function isBreak(byte: number | undefined): boolean {
  return byte === LINE_FEED || byte === RETURN;
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, "r");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
