// Answers through the whole gateway: the client gets what it would get of the backend itself, however slowly it reads.
import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { Client } from "undici";
import { describe, expect, it, onTestFinished } from "vitest";
import { until } from "../../support/until.ts";
import { CHAT, type Gateway, MODEL, startGateway } from "../harness.ts";
import { chunkedBody, contentOf, cut, pattern, rendered } from "./arbitrary.ts";
import { startBackend } from "./backend.ts";
import { askOver, type Understood } from "./oracle.ts";

interface Wire {
  readonly bytes: Buffer;
  readonly cuts: readonly number[];
  /** The end of the connection is the end of the answer. */
  readonly closes: boolean;
}

async function write(socket: Socket, { bytes, cuts, closes }: Wire): Promise<void> {
  for (const part of cut(bytes, cuts)) {
    socket.write(part);
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (closes) socket.end();
}

const TYPES = ["application/json", "text/event-stream; charset=utf-8"];
const EXTRA = [
  "X-A: 1",
  "x-a: 2",
  "Vary: accept",
  "Retry-After: 7",
  'ETag: "\xe9"',
  "X-Empty:",
  "OpenAI-Version:\t2020 ",
];
/** Never passed on, and known to neither side of the comparison. */
const DROPPED = ["Connection: x-hop", "X-Hop: 1", "Server: uvicorn", "Set-Cookie: a=b", "Keep-Alive: timeout=5"];

const answer: fc.Arbitrary<Wire> = fc
  .record({
    status: fc.constantFrom(200, 200, 200, 201, 400, 404, 429, 500, 503),
    type: fc.constantFrom(...TYPES),
    extra: fc.subarray([...EXTRA, ...DROPPED]),
    interim: fc.constantFrom("", "", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    framing: fc.constantFrom("length", "chunked", "close"),
    isPacked: fc.boolean(),
    body: chunkedBody({ maxBytes: 70_000, maxChunks: 6 }),
    cuts: fc.array(fc.nat(400_000), { maxLength: 12 }),
    early: fc.array(fc.nat(300), { maxLength: 4 }),
  })
  .map(({ status, type, extra, interim, framing, isPacked, body, cuts, early }) => {
    const content = isPacked ? gzipSync(contentOf(body)) : contentOf(body);
    const lines = [`HTTP/1.1 ${status} So`, `Content-Type: ${type}`, ...extra];
    if (isPacked) lines.push("Content-Encoding: gzip");
    if (framing === "length") lines.push(`Content-Length: ${content.length}`);
    if (framing === "chunked") lines.push("Transfer-Encoding: chunked");
    const whole = { ...body, chunks: isPacked ? body.chunks.slice(0, 0) : body.chunks };
    const packed = Buffer.concat([Buffer.from(`${content.length.toString(16)}\r\n`), content, Buffer.from("\r\n")]);
    const chunks = Buffer.concat([isPacked ? packed : Buffer.alloc(0), rendered(whole)]);
    const head = Buffer.from(`${interim}${lines.join("\r\n")}\r\n\r\n`, "latin1");
    const bytes = Buffer.concat([head, framing === "chunked" ? chunks : content]);
    return { bytes, cuts: [...cuts, ...early], closes: framing === "close" };
  });

const REQUEST = { path: CHAT, body: JSON.stringify({ model: MODEL, messages: [] }) };

function withoutOurs({ status, headers, body }: Understood) {
  const names = new Set(
    EXTRA.map((line) => line.split(":", 1)[0]?.toLowerCase()).concat("content-type", "content-encoding"),
  );
  const pairs = Array.from({ length: headers.length / 2 }, (_, at) => [headers[2 * at], headers[2 * at + 1]?.trim()]);
  return { status, headers: pairs.filter(([name]) => names.has(name)), body: body.toString("latin1") };
}

describe("an answer through the gateway", { timeout: 120_000 }, () => {
  it("is what undici gets of the backend itself", async () => {
    let next: Wire = { bytes: Buffer.alloc(0), cuts: [], closes: true };
    const backend = await startBackend((socket) => void write(socket, next));
    const gateway = await startGateway({ addresses: [backend.address] });
    const through = new Client(gateway.url);
    onTestFinished(() => through.destroy());
    await fc.assert(
      fc.asyncProperty(answer, async (wire) => {
        next = wire;
        const direct = new Client(backend.address);
        const expected = await askOver(direct, REQUEST);
        await direct.destroy();
        expect(withoutOurs(await askOver(through, REQUEST))).toEqual(withoutOurs(expected));
      }),
      { numRuns: 250 },
    );
  });
});

describe("a client that reads slowly", { timeout: 120_000 }, () => {
  const BYTES = 32 * 1024 * 1024;
  const content = pattern(BYTES);

  it.each<[string, string, (socket: Socket) => void]>([
    ["of known length", `Content-Length: ${BYTES}`, (socket) => void socket.write(content)],
    ["in small chunks", "Transfer-Encoding: chunked", (socket) => writeChunks(socket, 250)],
    ["in large chunks", "Transfer-Encoding: chunked", (socket) => writeChunks(socket, 100_000)],
    ["that ends with the connection", "X-A: b", (socket) => void socket.end(content)],
  ])("gets every byte of an answer %s, and is not read ahead for", async (_, header, body) => {
    const backend = await startBackend((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n${header}\r\n\r\n`);
      body(socket);
    });
    const gateway = await startGateway({ addresses: [backend.address] });
    const before = process.memoryUsage().arrayBuffers;
    const incoming = await askWithoutReading(gateway);
    const [socket] = backend.sockets;
    let waiting = -1;
    await until(() => waiting === (waiting = socket?.writableLength ?? 0) && waiting > 0);
    expect(waiting).toBeGreaterThan(BYTES / 4);
    expect(process.memoryUsage().arrayBuffers - before - waiting).toBeLessThan(24 * 1024 * 1024);
    const heard = await buffer(incoming);
    expect([heard.length, heard.equals(content)]).toEqual([BYTES, true]);
  });

  function writeChunks(socket: Socket, size: number): void {
    const parts: Buffer[] = [];
    for (let at = 0; at < BYTES; at += size) {
      const part = content.subarray(at, at + size);
      parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from("\r\n"));
    }
    socket.write(Buffer.concat([...parts, Buffer.from("0\r\n\r\n")]));
  }
});

async function askWithoutReading({ url }: Gateway): Promise<IncomingMessage> {
  const outgoing = httpRequest(new URL(CHAT, url), { method: "POST", headers: { "content-type": "application/json" } });
  outgoing.end(REQUEST.body);
  const [incoming] = (await once(outgoing, "response")) as [IncomingMessage];
  return incoming;
}
