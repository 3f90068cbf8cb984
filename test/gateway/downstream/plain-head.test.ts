// Heads that are read without Node's parser: only those about which no two parsers can differ.
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, createConnection } from "node:net";
import { buffer } from "node:stream/consumers";
import fc from "fast-check";
import { describe, expect, it, onTestFinished } from "vitest";
import { readPlainHead } from "../../../src/gateway/downstream/plain-head.ts";
import { mutations } from "../upstream/arbitrary.ts";
import { mutated } from "../upstream/parsed.ts";

const TARGETS = new Set(["/v1/chat/completions"]);
const START = "POST /v1/chat/completions HTTP/1.1";
const LINES = ["Host: a", "Content-Length: 2"];

function read(...lines: readonly string[]) {
  return readPlainHead(lines.join("\r\n"), TARGETS);
}

describe("a plain head", () => {
  it("is read into its target, its headers in lower case and the length of its body", () => {
    expect(read(START, ...LINES, "X-A:\t b c ")).toEqual({
      target: "/v1/chat/completions",
      headers: ["host", "a", "content-length", "2", "x-a", "b c"],
      length: 2,
      keepsAlive: true,
    });
  });

  it.each([
    ["Connection: close", false],
    ["Connection: Keep-Alive", true],
    ["X-A: b", true],
  ])("with %s keeps its connection: %s", (line, keepsAlive) => {
    expect(read(START, ...LINES, line)?.keepsAlive).toBe(keepsAlive);
  });

  it.each([
    ["another method", ["GET /v1/chat/completions HTTP/1.1", ...LINES]],
    ["a method in lower case", ["post /v1/chat/completions HTTP/1.1", ...LINES]],
    ["another target", ["POST /v1/models HTTP/1.1", ...LINES]],
    ["a query", ["POST /v1/chat/completions? HTTP/1.1", ...LINES]],
    ["a whole URL", ["POST http://a/v1/chat/completions HTTP/1.1", ...LINES]],
    ["two blanks", ["POST  /v1/chat/completions HTTP/1.1", ...LINES]],
    ["HTTP/1.0", ["POST /v1/chat/completions HTTP/1.0", ...LINES]],
    ["no headers", [START]],
    ["no host", [START, "Content-Length: 2"]],
    ["no length", [START, "Host: a"]],
    ["a length that is none", [START, "Host: a", "Content-Length: 2, 2"]],
    ["a length with a sign", [START, "Host: a", "Content-Length: +2"]],
    ["a blank behind the length", [START, "Host: a", "Content-Length: 2 "]],
    ["chunks", [START, "Host: a", "Transfer-Encoding: chunked"]],
    ["a length and chunks", [START, ...LINES, "Transfer-Encoding: chunked"]],
    ["an expectation", [START, ...LINES, "Expect: 100-continue"]],
    ["an upgrade", [START, ...LINES, "Upgrade: h2c"]],
    ["a connection that names headers", [START, ...LINES, "Connection: close, x-a"]],
    ["a header twice", [START, ...LINES, "X-A: b", "x-a: b"]],
    ["a folded line", [START, ...LINES, "X-A: b", " c"]],
    ["a blank before the colon", [START, ...LINES, "X-A : b"]],
    ["a bare line feed", [START, ...LINES, "X-A: b\nX-C: d"]],
    ["a bare carriage return", [START, ...LINES, "X-A: b\rX-C: d"]],
    ["a NUL", [START, ...LINES, "X-A: b\0"]],
    ["an empty line", [START, "", ...LINES]],
  ])("has not %s", (_, lines) => {
    expect(read(...lines)).toBeUndefined();
  });

  it("is understood as Node does, whatever was done to it", { timeout: 60_000 }, async () => {
    const ask = await startNode();
    const heads = [
      [START, ...LINES, "X-A: b c", ""],
      [START, "content-length: 2", "Connection: keep-alive", "HOST: localhost:8000", "Accept: */*", ""],
    ];
    let plain = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...heads),
        mutations({ bytes: "\0\t\n\r ,:;+05cTe\x7f\xa0", most: 2 }),
        async (lines, changes) => {
          const bytes = mutated(Buffer.from(lines.join("\r\n"), "latin1"), changes);
          const text = bytes.toString("latin1");
          const ours = text.includes("\r\n\r\n") ? undefined : readPlainHead(text.replace(/\r\n$/, ""), TARGETS);
          if (ours === undefined || ours.length > 9) return;
          plain += 1;
          const theirs = await ask(
            `${text.replace(/\r\n$/, "")}\r\n\r\n${"hi".padEnd(ours.length).slice(0, ours.length)}`,
          );
          expect({ target: ours.target, headers: ours.headers, length: ours.length }).toEqual(theirs);
        },
      ),
      { numRuns: 2_000 },
    );
    expect(plain).toBeGreaterThan(50);
  });
});

/** What Node makes of these bytes; undefined where it refuses them. */
async function startNode() {
  let heard: object | undefined;
  const server = createServer((incoming, outgoing) => {
    void buffer(incoming).then(({ length }) => {
      const headers = incoming.rawHeaders.map((text, at) => (at % 2 === 0 ? text.toLowerCase() : text));
      heard = { target: incoming.url, headers, length };
      outgoing.end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return async (text: string) => {
    heard = undefined;
    const socket = createConnection((server.address() as AddressInfo).port, "127.0.0.1");
    socket.write(text, "latin1");
    await once(socket, "data");
    socket.destroy();
    return heard;
  };
}
