import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readLogLines } from "../../../src/runtime/docker/frames.ts";

function frame(stream: 1 | 2, text: string): Buffer {
  const payload = Buffer.from(text);
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
}

async function* chunksOf(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  for (let at = 0, n = 0; at < bytes.length; n++) {
    const size = sizes[n % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

async function read(bytes: Buffer, sizes: readonly number[] = [bytes.length], tty = false) {
  const lines: string[] = [];
  for await (const { stream, text } of readLogLines(chunksOf(bytes, sizes), { tty })) lines.push(`${stream}: ${text}`);
  return lines;
}

describe("readLogLines", () => {
  const MIXED = Buffer.concat([
    frame(1, "out 1\nout "),
    frame(2, "err 1\r\n"),
    frame(2, ""),
    frame(1, "2 ✓\n"),
    frame(2, "10%\r20%\r"),
    frame(1, "no end"),
  ]);
  const LINES = ["stdout: out 1", "stderr: err 1", "stdout: out 2 ✓", "stderr: 10%", "stderr: 20%", "stdout: no end"];

  it("puts the lines of both streams together, each from its own frames", async () => {
    expect(await read(MIXED)).toEqual(LINES);
  });

  it("reads the same wherever the chunks are cut", async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 10 });
    const readsTheSame = fc.asyncProperty(sizes, async (sizes) => {
      expect(await read(MIXED, sizes)).toEqual(LINES);
    });
    await fc.assert(readsTheSame);
  });

  it("takes a terminal's output as it comes", async () => {
    expect(await read(Buffer.from("one\r\ntwo\r\n"), [2], true)).toEqual(["stdout: one", "stdout: two"]);
  });

  it("yields nothing for an empty log", async () => {
    expect(await read(Buffer.alloc(0), [1])).toEqual([]);
  });
});
