// Generated answers and what may happen to them on their way.
import fc from "fast-check";
import type { Mutation } from "./parsed.ts";

/** Changes of single bytes, mostly to those that mean something. */
export function mutations({
  bytes,
  most,
}: {
  readonly bytes: string;
  readonly most: number;
}): fc.Arbitrary<Mutation[]> {
  const telling = fc.constantFrom(...Buffer.from(bytes, "latin1"));
  return fc.array(
    fc.record({
      at: fc.nat(400),
      kind: fc.constantFrom("insert", "delete", "replace"),
      byte: fc.oneof({ arbitrary: telling, weight: 3 }, { arbitrary: fc.nat(255), weight: 1 }),
    }),
    { minLength: 1, maxLength: most },
  );
}

export interface ChunkStyle {
  readonly zeros: number;
  readonly upper: boolean;
  readonly extension: string;
}

export interface Chunked {
  readonly chunks: readonly { readonly data: Buffer; readonly style: ChunkStyle }[];
  readonly end: ChunkStyle;
  readonly trailers: readonly string[];
}

const style: fc.Arbitrary<ChunkStyle> = fc.record({
  zeros: fc.constantFrom(0, 0, 0, 1, 7),
  upper: fc.boolean(),
  extension: fc.constantFrom("", "", "", "", ";a", ";a=b", ';a="b c;\t"', ";a;b=c;d"),
});

/** A body in chunks of any kind that is in order; none of them is longer than `maxBytes`. */
export function chunkedBody({
  maxBytes,
  maxChunks,
}: {
  readonly maxBytes: number;
  readonly maxChunks: number;
}): fc.Arbitrary<Chunked> {
  const size = fc.oneof(fc.integer({ min: 1, max: Math.min(40, maxBytes) }), fc.integer({ min: 1, max: maxBytes }));
  const data = fc.tuple(size, fc.nat(255)).map(([length, first]) => pattern(length, first));
  return fc.record({
    chunks: fc.array(fc.record({ data, style }), { maxLength: maxChunks }),
    end: style,
    trailers: fc.constantFrom([], [], ["X-Sum: 1"], ["a:", "b:\tc d "]),
  });
}

/** As it stands on the wire. */
export function rendered({ chunks, end, trailers }: Chunked): Buffer {
  const parts = chunks.flatMap((chunk) => [sizeLine(chunk.data.length, chunk.style), chunk.data, Buffer.from("\r\n")]);
  const tail = [...trailers, ""].map((line) => `${line}\r\n`).join("");
  return Buffer.concat([...parts, sizeLine(0, end), Buffer.from(tail, "latin1")]);
}

export function contentOf({ chunks }: Chunked): Buffer {
  return Buffer.concat(chunks.map(({ data }) => data));
}

/** The same bytes cut at these places, in whatever order they are named. */
export function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const sorted = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((one, other) => one - other);
  return [...sorted, bytes.length]
    .map((end, index) => bytes.subarray(sorted[index - 1] ?? 0, end))
    .filter((part) => part.length > 0);
}

/** Bytes of which each says where it stands, line breaks and digits of sizes among them. */
export function pattern(length: number, first = 0): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at++) bytes[at] = (first + at * 31 + (at >> 8)) & 0xff;
  return bytes;
}

function sizeLine(size: number, { zeros, upper, extension }: ChunkStyle): Buffer {
  const digits = size.toString(16);
  return Buffer.from(`${"0".repeat(zeros)}${upper ? digits.toUpperCase() : digits}${extension}\r\n`);
}
