// Backends that say what cannot be passed on, or could be read in two ways: refused, and their connections never used again.
import { describe, expect, it } from "vitest";
import { until } from "../../support/until.ts";
import { startGateway } from "../harness.ts";
import { startRawBackend } from "./raw-backend.ts";
import { wireClient } from "./wire.ts";

const OK = "HTTP/1.1 200 OK\r\n";
const JSON_TYPE = "Content-Type: application/json\r\n";
const WHOLE = `${OK}${JSON_TYPE}Content-Length: 2\r\n\r\n{}`;

describe("an answer that is none of a model server", () => {
  it.each([
    ["a page", `${OK}Content-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>`],
    ["a redirect", "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"],
    [
      "a redirect that keeps the method",
      "HTTP/1.1 308 Permanent Redirect\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
    ],
    [
      "a length and chunks at once",
      `${OK}${JSON_TYPE}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    ["two lengths", `${OK}${JSON_TYPE}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} `],
    ["a length that is none", `${OK}${JSON_TYPE}Content-Length: 2x\r\n\r\n{}`],
    ["a negative length", `${OK}${JSON_TYPE}Content-Length: -2\r\n\r\n{}`],
    ["an unknown framing", `${OK}${JSON_TYPE}Transfer-Encoding: xchunked\r\n\r\n{}`],
    ["a folded header", `${OK}${JSON_TYPE}X-A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}`],
    ["a header without a colon", `${OK}${JSON_TYPE}garbage\r\nContent-Length: 2\r\n\r\n{}`],
    ["a space before the colon", `${OK}${JSON_TYPE}Content-Length : 2\r\n\r\n{}`],
    ["a NUL in a header", `${OK}${JSON_TYPE}X-A: \0\r\nContent-Length: 2\r\n\r\n{}`],
    ["a status of two digits", `HTTP/1.1 20 OK\r\n${JSON_TYPE}Content-Length: 2\r\n\r\n{}`],
    ["another protocol", "SSH-2.0-OpenSSH_9.6\r\n\r\n"],
    ["a head without end", `${OK}X-A: ${"a".repeat(200_000)}`],
    ["interim answers without end", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(20_000)],
  ])("is a 502: %s", async (_, bytes) => {
    const backend = await startRawBackend(
      (socket, request) => void socket.write(request.includes("second") ? WHOLE : bytes),
    );
    const gateway = await startGateway({ addresses: [backend.address] });
    const ask = wireClient(gateway.url);
    const { status, text, whole } = await ask();
    expect([status, whole, JSON.parse(text).error.code]).toEqual([502, true, "bad_gateway"]);
    expect(gateway.pool.leases[0]?.outcomes).toMatchObject([{ kind: expect.stringMatching(/^(broken|bad_answer)$/) }]);
    expect((await ask({ headers: { "x-request-id": "second" } })).status).toBe(200);
    expect(backend.connections).toBe(2);
  });
});

describe("an answer whose body is garbled", () => {
  it.each([
    ["a chunk of no size", "zz\r\n{}\r\n0\r\n\r\n"],
    ["a chunk of a negative size", "-1\r\n{}\r\n0\r\n\r\n"],
    ["a chunk that is longer than it says", "2\r\n{}}\r\n0\r\n\r\n"],
    ["a chunk too large to be true", "fffffffffffffffff\r\n{}\r\n0\r\n\r\n"],
  ])("never looks whole: %s", async (_, body) => {
    const head = `${OK}${JSON_TYPE}Transfer-Encoding: chunked\r\n\r\n`;
    const backend = await startRawBackend((socket) => void socket.write(head + body));
    const gateway = await startGateway({ addresses: [backend.address] });
    const heard = await wireClient(gateway.url)().catch(() => undefined);
    expect(heard === undefined || !heard.whole || heard.status === 502).toBe(true);
    expect(gateway.pool.leases[0]?.outcomes).toMatchObject([{ kind: expect.stringMatching(/^(broken|bad_answer)$/) }]);
  });
});

describe("a connection", () => {
  it.each([
    ["says more than its answer", `${WHOLE}HTTP/1.1 200 OK\r\n${JSON_TYPE}Content-Length: 8\r\n\r\n{"evil"}`],
    ["says garbage behind its answer", `${WHOLE}\0\0`],
    ["announces its end", `${OK}Connection: close\r\n${JSON_TYPE}Content-Length: 2\r\n\r\n{}`],
    ["is of HTTP/1.0", `HTTP/1.0 200 OK\r\n${JSON_TYPE}Content-Length: 2\r\n\r\n{}`],
  ])("that %s is not used again", async (_, first) => {
    const backend = await startRawBackend(
      (socket, request) => void socket.write(request.includes("second") ? WHOLE : first),
    );
    const gateway = await startGateway({ addresses: [backend.address] });
    const ask = wireClient(gateway.url);
    for (const id of ["first", "second"]) {
      const { status, text } = await ask({ headers: { "x-request-id": id } });
      expect([id, status, text]).toEqual([id, 200, "{}"]);
    }
    expect(backend.connections).toBe(2);
  });

  it("on which something is said while it is idle is not used again", async () => {
    const backend = await startRawBackend((socket) => {
      socket.write(WHOLE);
      setImmediate(() => setImmediate(() => socket.write("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")));
    });
    const gateway = await startGateway({ addresses: [backend.address] });
    const ask = wireClient(gateway.url);
    for (let round = 0; round < 20; round++) expect((await ask()).status).toBe(200);
  });

  it("to a backend that answers before it has read the request is not used again", async () => {
    const gateway = await startGateway({ backend: { early: true } });
    gateway.backend.respond((_, reply) => reply.json(413, { error: { message: "too much" } }, { connection: "close" }));
    const ask = wireClient(gateway.url);
    const body = JSON.stringify({ model: "chat", messages: ["x".repeat(3_000_000)] });
    for (let round = 0; round < 5; round++) {
      const heard = await ask({ body });
      expect([heard.status, heard.whole]).toEqual([413, true]);
    }
    await until(() => gateway.backend.openConnections === 0, { what: "the end of the connections" });
  });
});
