// Whatever the bytes of an answer are, and however they are cut into packets and chunks on their way, the client gets these bytes.
import { brotliCompressSync, gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { startGateway } from "../harness.ts";
import { startRawBackend, writeInTwo } from "./raw-backend.ts";
import { wireClient } from "./wire.ts";

const TEXT = Buffer.from('data: {"a":"€ 𝄞 ü"}\r\n\r\ndata: x\r\rdata: [DONE]\n\n');
const JSON_HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
const SSE_HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";

function chunked(parts: readonly Buffer[], { extension = "", trailers = "" } = {}): Buffer {
  const chunks = parts.map((part) =>
    Buffer.concat([Buffer.from(`${part.length.toString(16)}${extension}\r\n`), part, Buffer.from("\r\n")]),
  );
  return Buffer.concat([...chunks, Buffer.from(`0\r\n${trailers}\r\n`)]);
}

function answer(head: string, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${head}\r\n`), body]);
}

const BYTE_BY_BYTE = Array.from(TEXT, (byte) => Buffer.from([byte]));
const ANSWERS: readonly (readonly [what: string, bytes: Buffer])[] = [
  ["a length", answer(`${JSON_HEAD}Content-Length: ${TEXT.length}\r\n`, TEXT)],
  ["a stream with a length", answer(`${SSE_HEAD}Content-Length: ${TEXT.length}\r\n`, TEXT)],
  ["one chunk", answer(`${SSE_HEAD}Transfer-Encoding: chunked\r\n`, chunked([TEXT]))],
  ["a chunk for each byte", answer(`${SSE_HEAD}Transfer-Encoding: chunked\r\n`, chunked(BYTE_BY_BYTE))],
  [
    "chunk extensions and trailers",
    answer(
      `${JSON_HEAD}transfer-encoding:CHUNKED\r\nTrailer: X-Sum\r\n`,
      chunked([TEXT.subarray(0, 7), TEXT.subarray(7)], { extension: ';a="b"', trailers: "X-Sum: 1\r\n" }),
    ),
  ],
  [
    "interim answers first",
    Buffer.concat([
      Buffer.from("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\n"),
      answer(`${JSON_HEAD}Content-Length: ${TEXT.length}\r\n`, TEXT),
    ]),
  ],
];

describe("an answer that comes in two packets", { timeout: 60_000 }, () => {
  it.each(ANSWERS)("is the same wherever it is split: %s", async (_, bytes) => {
    let at = 0;
    const backend = await startRawBackend((socket) => writeInTwo(socket, bytes, ++at));
    const gateway = await startGateway({ addresses: [backend.address] });
    const ask = wireClient(gateway.url);
    for (let split = 1; split < bytes.length; split++) {
      const { status, whole, body, trailers } = await ask();
      expect([split, status, whole, body.toString()]).toEqual([split, 200, true, TEXT.toString()]);
      expect(trailers).toEqual({});
    }
    // What ended as its framing says leaves a connection that is good for the next.
    expect(backend.connections).toBe(1);
  });
});

describe("an answer without a length", () => {
  it("ends with the backend's connection, and is no failure", async () => {
    const backend = await startRawBackend(
      (socket) => void socket.end(answer(`${JSON_HEAD}Connection: close\r\n`, TEXT)),
    );
    const gateway = await startGateway({ addresses: [backend.address] });
    const { whole, text } = await wireClient(gateway.url)();
    expect([whole, text]).toEqual([true, TEXT.toString()]);
    expect(gateway.pool.leases[0]?.outcomes).toEqual([{ kind: "completed" }]);
  });
});

describe("an answer without a body", () => {
  it.each([
    ["a 204", "HTTP/1.1 204 No Content\r\n\r\n", 204],
    ["a length of 0", `${JSON_HEAD}Content-Length: 0\r\n\r\n`, 200],
    ["an empty last chunk alone", `${JSON_HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 200],
  ])("is whole: %s", async (_, bytes, expected) => {
    const backend = await startRawBackend((socket) => void socket.write(bytes));
    const gateway = await startGateway({ addresses: [backend.address] });
    const ask = wireClient(gateway.url);
    for (let round = 0; round < 2; round++) {
      const { status, body, whole } = await ask();
      expect([status, body.length, whole]).toEqual([expected, 0, true]);
    }
    expect(backend.connections).toBe(1);
  });
});

describe("long lines", () => {
  it.each(["\n\n", "\r\n\r\n", "\r\r", ""])("of ten megabytes pass, ended by %j", async (ending) => {
    const line = Buffer.from(`data: {"x":"${"€".repeat(3_500_000)}"}${ending}`);
    const gateway = await startGateway();
    gateway.backend.respond(async (_, reply) => {
      const stream = reply.sse();
      // Pieces that cut the three bytes of the character in all ways.
      for (let at = 0; at < line.length; at += 65_536) await stream.write(line.subarray(at, at + 65_536));
      stream.end();
    });
    const { body, whole } = await wireClient(gateway.url)({ stream: true });
    expect([whole, body.equals(line)]).toEqual([true, true]);
  });
});

describe("codings of an answer", () => {
  it.each([
    ["gzip", gzipSync],
    ["br", brotliCompressSync],
  ] as const)("are left as they are: %s", async (coding, compress) => {
    const bytes = compress('{"ok":true}'.repeat(100));
    const gateway = await startGateway();
    const headers = { "content-type": "application/json", "content-encoding": coding, vary: "accept-encoding" };
    gateway.backend.respond((_, reply) => reply.body(200, bytes, headers));
    const heard = await wireClient(gateway.url)({ headers: { "accept-encoding": coding } });
    expect(heard.body.equals(bytes)).toBe(true);
    expect(heard.headers).toMatchObject({ ...headers, "content-length": String(bytes.length) });
    expect((await gateway.backend.nextRequest()).headers["accept-encoding"]).toBe(coding);
  });

  it("are not asked for where the answer is a stream, and the stream is not compressed on its way", async () => {
    const gateway = await startGateway();
    gateway.backend.respond((_, reply) => reply.sse().done());
    const heard = await wireClient(gateway.url)({ stream: true, headers: { "accept-encoding": "gzip, br" } });
    expect((await gateway.backend.nextRequest()).headers["accept-encoding"]).toBe("identity");
    expect(heard.headers["content-encoding"]).toBeUndefined();
    expect(heard.text).toBe("data: [DONE]\n\n");
  });

  it("of a stream that nobody asked for are left as they are, too", async () => {
    const bytes = gzipSync("data: x\n\ndata: [DONE]\n\n");
    const gateway = await startGateway();
    gateway.backend.respond(async (_, reply) => {
      const stream = reply.sse({ "content-encoding": "gzip" });
      await stream.write(bytes);
      stream.end();
    });
    const { headers, body } = await wireClient(gateway.url)({ stream: true });
    expect([headers["content-encoding"], body.equals(bytes)]).toEqual(["gzip", true]);
  });
});
