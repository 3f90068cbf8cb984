import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isAimError } from "../../src/errors.ts";
import { MAX_DEPTH, WINDOW_BYTES } from "../../src/gateway/json/json.ts";
import { scanMembers } from "../../src/gateway/scan.ts";
import { requireAgreement, triedBodies } from "../support/scan-agreement.ts";

/** The texts of the values that were found, by key. */
function found(text: string): Record<string, string> {
  const body = Buffer.from(text);
  return Object.fromEntries(
    Object.entries(scanMembers(body)).map(([key, { start, end }]) => [key, body.toString("utf8", start, end)]),
  );
}

function failure(body: string | Buffer) {
  try {
    scanMembers(Buffer.from(body));
  } catch (error) {
    if (isAimError(error)) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

describe("scanMembers", () => {
  it("is of one mind with JSON.parse about whole and broken bodies", () => {
    fc.assert(fc.property(triedBodies, requireAgreement), {
      numRuns: 20_000,
      interruptAfterTimeLimit: 5_000,
      endOnFailure: true,
    });
  });

  // Everything that a string may hold, or must not, begins at each place around the end of a window.
  it.each([
    "\\n",
    "\\u00e9",
    "\\ud83d\\ude00",
    '\\"',
    "\\\\",
    "é",
    "😀",
    '"',
    "\\",
    "\\x",
    "\\u12g4",
    "\\u00",
    "\u0001",
    "\xff",
  ])("is of one mind with JSON.parse where %j lies on the end of a window", (piece) => {
    const bytes = piece === "\xff" ? Buffer.from([0xff]) : Buffer.from(piece);
    for (let before = WINDOW_BYTES - 24; before < WINDOW_BYTES + 4; before++) {
      for (const after of [0, 3, WINDOW_BYTES - 10]) {
        const head = Buffer.from(`{"a":"${"x".repeat(before)}`);
        const tail = Buffer.from(`${"y".repeat(after)}","model":"m"}`);
        requireAgreement(Buffer.concat([head, bytes, tail]));
        requireAgreement(Buffer.concat([head, bytes, bytes, tail]));
        requireAgreement(Buffer.concat([head, bytes]));
      }
    }
  });

  it.each(["0", "00", "01", "0123", ",", ", ", " ,", "\n", "-1", "1.5", "1e3", "]", '"x"', "[1]", "é", "\u0000"])(
    "is of one mind with JSON.parse where %j stands among token ids",
    (piece) => {
      const ids = "10,9,".repeat(WINDOW_BYTES / 5);
      // All places in a block of 64 bytes, and those around the end of a window.
      for (let before = WINDOW_BYTES - 80; before < WINDOW_BYTES + 8; before++) {
        const items = `${ids.slice(0, before)}${piece}10,9,1`;
        requireAgreement(Buffer.from(`{"prompt":[${items}],"model":"m"}`));
      }
    },
  );

  it("says where an escape begins that is none, wherever the window ends", () => {
    for (let at = WINDOW_BYTES - 80; at < WINDOW_BYTES + 8; at++) {
      for (const escape of ["\\x", "\\u12g4", "\\u123", "\\\n"])
        expect(failure(`{"a":"`.padEnd(at, "x") + `${escape}"}`).message).toMatch(new RegExp(` byte ${at}$`));
    }
  });

  it("is of one mind with JSON.parse about each byte within a string, and after a backslash", () => {
    for (let byte = 0; byte < 256; byte++) {
      for (const text of ["", "0123456789abcde", "0123456789abcdef"]) {
        for (const bytes of [[byte], [0x5c, byte], [0x5c, 0x75, 0x30, byte, 0x30, 0x30]])
          requireAgreement(Buffer.concat([Buffer.from(`{"model":"${text}`), Buffer.from(bytes), Buffer.from('"}')]));
      }
    }
  });

  it("does not take values for keys", () => {
    expect(found('{"a":"model","b":["stream"],"model":"m"}')).toEqual({ model: '"m"' });
  });

  it("ignores members of inner objects", () => {
    expect(found('{"messages":[{"model":"x","model":"y"}],"stream":true}')).toEqual({
      messages: '[{"model":"x","model":"y"}]',
      stream: "true",
    });
  });

  it("is not confused by quotes and brackets within strings", () => {
    expect(found('{"a":"}\\"],\\\\","model":"m\\"{"}')).toEqual({ model: '"m\\"{"' });
  });

  it("sees through escapes in keys", () => {
    expect(found('{"mod\\u0065l":"m"}')).toEqual({ model: '"m"' });
    expect(found('{"\\\\u006dodel":"m"}')).toEqual({});
  });

  it.each(['{"model":"a","model":"b"}', '{"model":"a", "\\u006dodel" : "b"}'])("refuses duplicates in %s", (text) => {
    expect(failure(text)).toMatchObject({ code: "duplicate_key", param: "model" });
  });

  it.each(["", "[]", '"x"', "null", " 1"])("says that %j is no object", (text) => {
    expect(failure(text).message).toBe("the request body must be a JSON object");
  });

  it.each([
    ['{"a":1,}', 7],
    ['{"a":01}', 6],
    ['{"a":1.}', 7],
    ['{"a":tru}', 8],
    ['{"a":[1}', 7],
    ['{"é":"\n"}', 7],
    ['{"a":"\\x"}', 6],
    ['{"a":"b', 7],
    ['{"a" 1}', 5],
    ["{} {}", 3],
  ])("says where %j is no JSON", (text, at) => {
    expect(failure(text).message).toBe(`the request body is not valid JSON, at byte ${at}`);
  });

  it("names a byte order mark and bytes that are no UTF-8", () => {
    expect(failure("\ufeff{}").message).toBe("the request body must not begin with a byte order mark");
    expect(failure(Buffer.from('{"a":"\xff"}', "latin1")).message).toBe("the request body is not valid UTF-8");
  });

  it("allows the deepest honest nesting and not one level more", () => {
    const nested = (depth: number) => `{"a":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`;
    expect(found(nested(MAX_DEPTH))).toEqual({});
    expect(failure(nested(MAX_DEPTH + 1)).message).toContain(`deeper than ${MAX_DEPTH} levels`);
    expect(failure(`{"a":${"[".repeat(1_000_000)}`).message).toContain("deeper than");
  });

  // Whoever looks back over escapes, or anew at keys, is done for with these: a second each is a thousand times what they take.
  it.each([
    ["backslashes", `{"a":"${"\\\\".repeat(2_000_000)}"}`],
    ["escaped quotes", `{"a":"${'\\"'.repeat(2_000_000)}"}`],
    ["keys", `{${'"mode":0,'.repeat(400_000)}"model":"m"}`],
    ["keys with escapes", `{${'"\\u006dode":0,'.repeat(250_000)}"model":"m"}`],
    ["strings", `{"a":[${'"",'.repeat(1_000_000)}""]}`],
    ["brackets", `{"a":[${"[],".repeat(1_000_000)}[]]}`],
    ["spaces", `{"a":${" ".repeat(4_000_000)}1}`],
    ["digits", `{"a":${"1".repeat(4_000_000)}}`],
  ])("takes time in proportion to 4 MB of %s", { timeout: 1_000 }, (_, text) => {
    expect(() => scanMembers(Buffer.from(text))).not.toThrow();
  });
});
