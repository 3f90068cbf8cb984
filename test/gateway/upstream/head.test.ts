// Heads of answers: what is understood, and what is refused since two parsers might understand it differently.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { valueOf } from "../../../src/gateway/header-line.ts";
import { BadAnswer, checkBeginning, parseHead } from "../../../src/gateway/upstream/head.ts";
import { mutations } from "./arbitrary.ts";
import { oracle } from "./oracle.ts";
import { mutated, parsed } from "./parsed.ts";

const askUndici = oracle();

function parse(...lines: readonly string[]) {
  return parseHead(lines.join("\r\n"));
}

const OK = "HTTP/1.1 200 OK";
const CHUNKED = "Transfer-Encoding: chunked";

describe("a head", () => {
  it.each([
    ["has a length", [OK, "Content-Length: 5"], { kind: "length", bytes: 5 }, true],
    ["has a length with zeros", [OK, "Content-Length: 005"], { kind: "length", bytes: 5 }, true],
    ["has chunks", [OK, CHUNKED], { kind: "chunked" }, true],
    ["has chunks in other letters", [OK, "TRANSFER-ENCODING:\tChunked"], { kind: "chunked" }, true],
    ["has no length", [OK], { kind: "close" }, false],
    ["has no reason", ["HTTP/1.1 200"], { kind: "close" }, false],
    ["has an empty reason", ["HTTP/1.1 200 ", "content-length: 0"], { kind: "length", bytes: 0 }, true],
    ["is of a 204", ["HTTP/1.1 204 No Content"], { kind: "length", bytes: 0 }, true],
    ["is of a 204 with a length of 0", ["HTTP/1.1 204 No", "Content-Length: 0"], { kind: "length", bytes: 0 }, true],
    [
      "is of a 304 that says how long it would be",
      ["HTTP/1.1 304 Not", "content-length: 5"],
      { kind: "length", bytes: 0 },
      true,
    ],
    ["is interim", ["HTTP/1.1 103 Early Hints", "link: </a>"], { kind: "length", bytes: 0 }, true],
    ["is of HTTP/1.0", ["HTTP/1.0 200 OK", "content-length: 5"], { kind: "length", bytes: 5 }, false],
    [
      "is of HTTP/1.0 and would go on",
      ["HTTP/1.0 200 OK", "connection: keep-alive", "content-length: 5"],
      { kind: "length", bytes: 5 },
      false,
    ],
    ["says close", [OK, "content-length: 5", "connection: close"], { kind: "length", bytes: 5 }, false],
    [
      "says close among others",
      [OK, "content-length: 5", "connection: x-a,\tClose , x-b"],
      { kind: "length", bytes: 5 },
      false,
    ],
    [
      "says close in the second of two",
      [OK, "content-length: 5", "connection: keep-alive", "connection: close"],
      { kind: "length", bytes: 5 },
      false,
    ],
    ["says keep-alive", [OK, CHUNKED, "connection: keep-alive"], { kind: "chunked" }, true],
  ] as const)("that %s is understood", (_, lines, framing, keepsAlive) => {
    expect(parse(...lines)).toMatchObject({ framing, keepsAlive });
  });

  it("gives its headers as they came, in lower case", () => {
    const { headers } = parse(
      OK,
      "A:b",
      "Empty:",
      "Sp: \t a b\t ",
      "!#$%&'*+-.^_`|~9: é\xff",
      "A: c:d",
      "__proto__: x",
    );
    const odd = ["!#$%&'*+-.^_`|~9", "é\xff", "a", "c:d", "__proto__", "x"];
    expect(headers).toEqual(["a", "b", "empty", "", "sp", "a b", ...odd]);
    expect([valueOf(headers, "a"), valueOf(headers, "sp"), valueOf(headers, "b")]).toEqual(["b", "a b", undefined]);
  });

  it.each([
    ["another protocol", ["SSH-2.0-OpenSSH_9.6"]],
    ["another version", ["HTTP/2.0 200 OK"]],
    ["a version of more digits", ["HTTP/1.11 200 OK"]],
    ["small letters", ["http/1.1 200 OK"]],
    ["a byte before it", [" HTTP/1.1 200 OK"]],
    ["a line before it", ["", OK]],
    ["two spaces", ["HTTP/1.1  200 OK"]],
    ["a status of two digits", ["HTTP/1.1 20 OK"]],
    ["a status of four digits", ["HTTP/1.1 2000 OK"]],
    ["a status below 100", ["HTTP/1.1 099 OK"]],
    ["a control character in the reason", ["HTTP/1.1 200 O\0K"]],
    ["a bare line feed in the reason", ["HTTP/1.1 200 OK\nA: b"]],
    ["a folded header", [OK, "a: b", " c"]],
    ["a header folded with a tab", [OK, "a: b", "\tc: d"]],
    ["a bare line feed", [OK, "a: b\ncontent-length: 5"]],
    ["a bare carriage return", [OK, "a: b\rcontent-length: 5"]],
    ["a carriage return too many", [OK, "a: b\r"]],
    ["a NUL in a value", [OK, "a: \0"]],
    ["a NUL in a name", [OK, "a\0: b"]],
    ["a DEL", [OK, "a: \x7f"]],
    ["no name", [OK, ": b"]],
    ["no colon", [OK, "garbage"]],
    ["a space before the colon", [OK, "content-length : 5"]],
    ["a name of no token", [OK, "a(b): c"]],
    ["a name beyond ASCII", [OK, "é: b"]],
    ["a length and chunks", [OK, "content-length: 5", CHUNKED]],
    ["chunks and a length", [OK, CHUNKED, "content-length: 5"]],
    ["two lengths", [OK, "content-length: 5", "content-length: 6"]],
    ["two lengths that are equal", [OK, "content-length: 5", "Content-Length: 5"]],
    ["a list of lengths", [OK, "content-length: 5, 5"]],
    ["an empty length", [OK, "content-length:"]],
    ["a length with a sign", [OK, "content-length: +5"]],
    ["a negative length", [OK, "content-length: -5"]],
    ["a length in hexadecimal", [OK, "content-length: 0x5"]],
    ["a length that is a fraction", [OK, "content-length: 5.0"]],
    ["a length of other digits", [OK, "content-length: \xb2"]],
    ["a length behind a blank that is none", [OK, "content-length: \xa05"]],
    ["a length beyond all numbers", [OK, "content-length: 9999999999999999"]],
    ["chunks of gzip", [OK, "transfer-encoding: gzip, chunked"]],
    ["gzip of chunks", [OK, "transfer-encoding: chunked, gzip"]],
    ["gzip alone", [OK, "transfer-encoding: gzip"]],
    ["identity", [OK, "transfer-encoding: identity"]],
    ["an interim status of HTTP/1.0", ["HTTP/1.0 103 Early Hints"]],
    ["a blank behind the coding", [OK, "transfer-encoding: chunked "]],
    ["a tab behind the coding", [OK, "transfer-encoding: chunked\t"]],
    ["an unknown coding", [OK, "transfer-encoding: xchunked"]],
    ["a coding that is empty", [OK, "transfer-encoding:"]],
    ["a coding behind a blank that is none", [OK, "transfer-encoding: \xa0chunked"]],
    ["a coding with a parameter", [OK, "transfer-encoding: chunked;q=1"]],
    ["chunks twice in one line", [OK, "transfer-encoding: chunked, chunked"]],
    ["chunks twice", [OK, CHUNKED, CHUNKED]],
    ["chunks in HTTP/1.0", ["HTTP/1.0 200 OK", CHUNKED]],
    ["a 204 with a length", ["HTTP/1.1 204 No Content", "content-length: 5"]],
    ["a 204 with chunks", ["HTTP/1.1 204 No Content", CHUNKED]],
    ["a 304 with chunks", ["HTTP/1.1 304 Not Modified", CHUNKED]],
    ["an interim head with a length", ["HTTP/1.1 103 Early Hints", "content-length: 5"]],
    ["an interim head in HTTP/1.0", ["HTTP/1.0 103 Early Hints"]],
    ["an interim head with chunks", ["HTTP/1.1 100 Continue", CHUNKED]],
  ])("is refused with %s", (_, lines) => {
    expect(() => parse(...lines)).toThrow(BadAnswer);
  });

  it("of many blanks takes no longer than its length", () => {
    const start = performance.now();
    expect(() => parse(OK, `a: ${" \t".repeat(16_000)}\0`)).toThrow(BadAnswer);
    expect(parse(OK, `a: ${" \t".repeat(16_000)}b${" \t".repeat(16_000)}`).headers).toEqual(["a", "b"]);
    expect(performance.now() - start).toBeLessThan(500);
  });
});

describe("the beginning of a head", () => {
  it.each(["", "H", "HTTP/1", "HTTP/1.1 200 OK\r", "HTTP/1.1 200 OK\r\nA: b"])("may be %j", (text) => {
    checkBeginning(Buffer.from(text));
  });

  it.each([
    "\n",
    "X",
    "\x15\x03\x01\0\x02\x02",
    "SSH-2.0-x\r\n",
    "HTTP/2",
    "HTTP/1.1 200 OK\nA: b\n\n",
    "\r\nHTTP/1.1",
  ])("cannot be %j", (text) => {
    expect(() => checkBeginning(Buffer.from(text))).toThrow(BadAnswer);
  });
});

const HEADS = [
  `${OK}\r\nContent-Length: 2\r\nA: b c\r\n\r\nhi`,
  `${OK}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi`,
  `${OK}\r\n${CHUNKED}\r\nA: b\r\n\r\n2\r\nhi\r\n0\r\n\r\n`,
  "HTTP/1.0 200 OK\r\nA: b\r\n\r\nhi",
  `HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n${OK}\r\nContent-Length: 2\r\n\r\nhi`,
];

describe("any head", { timeout: 60_000 }, () => {
  it("that is accepted is understood as undici does", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...HEADS),
        mutations({ bytes: "\0\t\n\r ,:;+05cTe\x7f\xa0", most: 2 }),
        async (head, changes) => {
          const bytes = mutated(Buffer.from(head, "latin1"), changes);
          const ours = parsed(bytes);
          if (ours === undefined) return;
          // A 100 that nobody asked for is an interim answer like others to us, and an error to undici.
          if (bytes.subarray(0, 12).equals(Buffer.from("HTTP/1.1 100"))) return;
          const theirs = await askUndici(bytes);
          expect(theirs && { ...theirs, headers: theirs.headers.map((text) => text.replace(/[\t ]+$/, "")) }).toEqual(
            ours,
          );
        },
      ),
      { numRuns: 600 },
    );
  });
});
