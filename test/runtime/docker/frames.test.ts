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
  for await (const batch of readLogLines(chunksOf(bytes, sizes), { tty })) {
    lines.push(...batch.map(({ stream, text, time }) => `${time === undefined ? "" : `${time} `}${stream}: ${text}`));
  }
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

  describe("with times", () => {
    const [T1, T2, T3] = ["2026-01-01T00:00:00.000000001Z", "2026-01-01T00:00:01.5Z", "2026-01-01T00:00:02+02:00"];
    const DATED = Buffer.concat([
      frame(1, `${T1} one\n`),
      frame(2, `${T1} 10%\r20%\n`),
      // A long line comes in several messages, each dated.
      frame(1, `${T1} long `),
      frame(2, `${T2} between\n`),
      frame(1, `${T3} line\n`),
      frame(1, `${T3} \n`),
      frame(1, "2026 is no time\n"),
      frame(1, "alone"),
    ]);

    it("takes them off each message, wherever the chunks are cut", async () => {
      const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 10 });
      const readsTheSame = fc.asyncProperty(sizes, async (sizes) => {
        expect(await read(DATED, sizes)).toEqual([
          `${T1} stdout: one`,
          `${T1} stderr: 10%`,
          `${T1} stderr: 20%`,
          `${T2} stderr: between`,
          `${T3} stdout: long line`,
          "stdout: 2026 is no time",
          "stdout: alone",
        ]);
      });
      await fc.assert(readsTheSame);
    });

    it("takes them off a terminal's lines", async () => {
      const lines = await read(Buffer.from(`${T1} one\r\n${T2} 10%\r20%\r\n`), [7], true);
      expect(lines).toEqual([`${T1} stdout: one`, `${T2} stdout: 10%`, `${T2} stdout: 20%`]);
    });
  });

  it("takes a terminal's output as it comes", async () => {
    expect(await read(Buffer.from("one\r\ntwo\r\n"), [2], true)).toEqual(["stdout: one", "stdout: two"]);
  });

  it("yields nothing for an empty log", async () => {
    expect(await read(Buffer.alloc(0), [1])).toEqual([]);
  });
});
