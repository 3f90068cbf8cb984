// Bodies of answers, however they are framed and wherever they are cut on their way.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readerOf } from "../../../src/gateway/upstream/body.ts";
import { BadAnswer } from "../../../src/gateway/upstream/head.ts";
import { type Chunked, chunkedBody, contentOf, cut, mutations, rendered } from "./arbitrary.ts";
import { oracle } from "./oracle.ts";
import { Gatherer, mutated, parsed } from "./parsed.ts";

const askUndici = oracle();
const HEAD = Buffer.from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
const END = Buffer.from("0\r\n\r\n");

function readChunked(parts: readonly Buffer[], takesFrames: boolean) {
  const reader = readerOf({ kind: "chunked" });
  const gatherer = new Gatherer({ takesFrames });
  for (const part of parts) expect(reader.read(part, 0, gatherer)).toBe(part.length);
  return { gatherer, isComplete: reader.isComplete };
}

/** The content of whole plain chunks; throws where they are anything else. */
function contentOfChunks(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const [line = "", digits = ""] = /^([\da-f]+)\r\n/i.exec(bytes.toString("latin1", at, at + 20)) ?? [];
    const start = at + line.length;
    const end = start + parseInt(digits, 16);
    expect([digits === "", bytes.toString("latin1", end, end + 2)]).toEqual([false, "\r\n"]);
    parts.push(bytes.subarray(start, end));
    at = end + 2;
  }
  return Buffer.concat(parts);
}

/** Both ways of handing it over carry the content, and the one with frames is in chunks after each call. */
function expectContent(body: Chunked, places: readonly number[]): void {
  const content = contentOf(body);
  const parts = cut(rendered(body), places);
  const plain = readChunked(parts, false);
  expect([plain.isComplete, plain.gatherer.frames.length]).toEqual([true, 0]);
  expect(Buffer.concat(plain.gatherer.contents).equals(content)).toBe(true);
  const framed = readChunked(parts, true);
  expect(framed.isComplete).toBe(true);
  expect(contentOfChunks(Buffer.concat(framed.gatherer.reframed)).equals(content)).toBe(true);
  for (const { bytes, contentBytes } of framed.gatherer.frames)
    expect(contentOfChunks(bytes).length).toBe(contentBytes);
}

describe("a body in chunks", { timeout: 60_000 }, () => {
  it("is the same wherever it is cut in two", () => {
    for (const body of fc.sample(chunkedBody({ maxBytes: 40, maxChunks: 4 }), { numRuns: 60, seed: 1 }))
      for (let at = 0; at <= rendered(body).length; at++) expectContent(body, [at]);
  });

  it("is the same byte by byte", () => {
    for (const body of fc.sample(chunkedBody({ maxBytes: 300, maxChunks: 5 }), { numRuns: 60, seed: 2 }))
      expectContent(body, [...rendered(body).keys()]);
  });

  it("is the same in any pieces, whatever their size", () => {
    const body = chunkedBody({ maxBytes: 70_000, maxChunks: 6 });
    fc.assert(fc.property(body, fc.array(fc.nat(400_000), { maxLength: 12 }), expectContent), { numRuns: 150 });
  });

  it("is to undici what it is to us, before and after we passed it on", async () => {
    const body = chunkedBody({ maxBytes: 70_000, maxChunks: 6 });
    await fc.assert(
      fc.asyncProperty(body, fc.array(fc.nat(400_000), { maxLength: 12 }), async (one, places) => {
        const { gatherer } = readChunked(cut(rendered(one), places), true);
        const [before, after] = [
          await askUndici(Buffer.concat([HEAD, rendered(one)])),
          await askUndici(Buffer.concat([HEAD, ...gatherer.reframed, END])),
        ];
        expect([before?.body.equals(contentOf(one)), after?.body.equals(contentOf(one))]).toEqual([true, true]);
      }),
      { numRuns: 60 },
    );
  });

  it("is accepted only where undici accepts it", async () => {
    const damage = mutations({ bytes: '\0\t\n\r ;="\\:0aG-\x80', most: 2 });
    await fc.assert(
      fc.asyncProperty(chunkedBody({ maxBytes: 20, maxChunks: 2 }), damage, async (one, changes) => {
        const bytes = Buffer.concat([HEAD, mutated(rendered(one), changes)]);
        const ours = parsed(bytes);
        if (ours === undefined) return;
        expect((await askUndici(bytes))?.body.toString("latin1")).toBe(ours.body.toString("latin1"));
      }),
      { numRuns: 800 },
    );
  });

  it("goes on as it came where whole chunks came", () => {
    const bytes = Buffer.from("5\r\nhello\r\n00A\r\n0123456789\r\n");
    const { gatherer } = readChunked([bytes, END], true);
    expect(gatherer.frames).toEqual([{ bytes, contentBytes: 15 }]);
    expect(gatherer.contents).toEqual([]);
  });

  it.each([
    ["waits for the last piece of a chunk of 64 KiB", 65_536, [65_536]],
    ["hands on the pieces of a larger one as they come", 65_537, [2, 7, 40_000, 25_528]],
  ] as const)("%s", (_, size, expected) => {
    const chunk = Buffer.from(`${size.toString(16)}\r\n${"x".repeat(size)}\r\n`);
    const parts = cut(chunk, [3, 9, 16, 40_016, chunk.length - 1]);
    expect(readChunked(parts, true).gatherer.contents.map(({ length }) => length)).toEqual(expected);
    // Whoever dies before the last piece leaves nobody with some of them.
    const torn = readChunked(parts.slice(0, 3), true);
    expect([torn.isComplete, torn.gatherer.contents.length]).toEqual([false, expected.length === 1 ? 0 : 2]);
  });

  it("ends where it says, and leaves what follows", () => {
    for (const takesFrames of [true, false]) {
      const reader = readerOf({ kind: "chunked" });
      const bytes = Buffer.from("x2\r\nhi\r\n0\r\n\r\nHTTP/1.1 200 OK");
      expect(reader.read(bytes, 1, new Gatherer({ takesFrames }))).toBe(bytes.indexOf("HTTP"));
      expect(reader.isComplete).toBe(true);
    }
  });

  it.each([
    ["no size", "\r\nhi\r\n"],
    ["a size that is no number", "zz\r\nhi\r\n"],
    ["a negative size", "-1\r\nhi\r\n"],
    ["a size with a sign", "+2\r\nhi\r\n"],
    ["a size with a prefix", "0x2\r\nhi\r\n"],
    ["a space before the size", " 2\r\nhi\r\n"],
    ["a space after the size", "2 \r\nhi\r\n"],
    ["a size beyond exact numbers", "fffffffffffffff\r\nhi"],
    ["a size without an end", "0".repeat(9_000)],
    ["a size that ends with a bare line feed", "2\nhi\r\n"],
    ["a size that ends with a bare carriage return", "2\rhi\r\n"],
    ["an extension with a control character", "2;a\0\r\nhi\r\n"],
    ["an extension with a carriage return", "2;a\rb\r\nhi\r\n"],
    ["an extension that ends with a bare line feed", "2;a\nhi\r\n"],
    ["an extension without an end", `2;${"a".repeat(9_000)}`],
    ["more data than it says", "2\r\nhi!\r\n"],
    ["less data than it says", "3\r\nhi\r\n0\r\n\r\n"],
    ["data that ends with a bare line feed", "2\r\nhi\n0\r\n\r\n"],
    ["a trailer that ends with a bare line feed", "0\r\na: b\n\r\n"],
    ["an end that is a bare line feed", "0\r\n\n"],
    ["a trailer that is no header", "0\r\ngarbage\r\n\r\n"],
    ["a trailer that is folded", "0\r\na: b\r\n c\r\n\r\n"],
    ["a trailer with a length", "0\r\nContent-Length: 5\r\n\r\n"],
    ["a trailer with a coding", "0\r\nTransfer-Encoding: chunked\r\n\r\n"],
    ["trailers without an end", `0\r\n${"a: b\r\n".repeat(2_000)}`],
  ])("is refused with %s, however it comes", (_, text) => {
    const bytes = Buffer.from(text, "latin1");
    for (const takesFrames of [true, false])
      for (const parts of [[bytes], cut(bytes, [...bytes.keys()])])
        expect(() => readChunked(parts, takesFrames)).toThrow(BadAnswer);
  });
});

describe("a body of known length", () => {
  it("ends where it says, and leaves what follows", () => {
    const reader = readerOf({ kind: "length", bytes: 5 });
    const gatherer = new Gatherer({ takesFrames: true });
    expect(reader.read(Buffer.from("..hel"), 2, gatherer)).toBe(5);
    expect(reader.isComplete).toBe(false);
    expect(reader.read(Buffer.from("lo!"), 0, gatherer)).toBe(2);
    expect([reader.isComplete, reader.endsWithConnection]).toEqual([true, false]);
    expect(Buffer.concat(gatherer.contents).toString()).toBe("hello");
  });

  it("of 0 is complete before anything comes", () => {
    const reader = readerOf({ kind: "length", bytes: 0 });
    const gatherer = new Gatherer({ takesFrames: true });
    expect([reader.isComplete, reader.read(Buffer.from("x"), 0, gatherer), gatherer.contents]).toEqual([true, 0, []]);
  });
});

describe("a body without a length", () => {
  it("takes what comes, and never says that it is complete", () => {
    const reader = readerOf({ kind: "close" });
    const gatherer = new Gatherer({ takesFrames: true });
    for (const part of ["a", "b"]) expect(reader.read(Buffer.from(part), 0, gatherer)).toBe(1);
    expect([reader.isComplete, reader.endsWithConnection]).toEqual([false, true]);
    expect(Buffer.concat(gatherer.contents).toString()).toBe("ab");
  });
});

describe("a reader that is stopped by whom it hands bytes to", () => {
  it.each([true, false])("hands on nothing more (frames: %s)", (takesFrames) => {
    const reader = readerOf({ kind: "chunked" });
    let calls = 0;
    const stop = () => {
      calls += 1;
      reader.stop();
    };
    reader.read(Buffer.from("2\r\nhi\r\n2;a\r\nho\r\n2\r\nhe\r\n"), 0, {
      takesFrames,
      onFrames: stop,
      onContent: stop,
    });
    expect(calls).toBe(1);
  });
});
