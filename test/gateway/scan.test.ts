import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MAX_DEPTH, scanMembers } from "../../src/gateway/scan.ts";

const KEYS = ["model", "stream"];

function scan(text: string) {
  return scanMembers(Buffer.from(text), KEYS);
}

/** The texts of the values that were found, by key. */
function found(text: string): Record<string, string> {
  const body = Buffer.from(text);
  const result = scanMembers(body, KEYS);
  if (result.kind !== "members") throw new Error(result.kind);
  return Object.fromEntries(
    [...result.members].map(([key, { start, end }]) => [key, body.toString("utf8", start, end)]),
  );
}

/** JSON with random white space between its tokens, and keys that are sometimes escaped. */
const spacedObject = fc
  .tuple(
    fc.dictionary(fc.oneof(fc.constantFrom(...KEYS), fc.string()), fc.jsonValue({ maxDepth: 4 }), {
      noNullPrototype: true,
    }),
    fc.infiniteStream(fc.constantFrom("", " ", "\n", "\r\n", "\t ")),
    fc.infiniteStream(fc.boolean()),
  )
  .map(([value, spaces, escapes]) => write(value, { spaces, escapes }));

interface Choices {
  readonly spaces: Iterator<string>;
  readonly escapes: Iterator<boolean>;
}

function write(value: unknown, choices: Choices): string {
  const space = () => String(choices.spaces.next().value);
  if (Array.isArray(value)) return `[${space()}${value.map((item) => write(item, choices)).join(`,${space()}`)}]`;
  if (typeof value !== "object" || value === null) return `${space()}${JSON.stringify(value)}${space()}`;
  const members = Object.entries(value).map(([key, item]) => {
    const escaped = Array.from(key, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
    const isPlain = /^[a-z]+$/.test(key);
    const text = isPlain && choices.escapes.next().value === true ? `"${escaped.join("")}"` : JSON.stringify(key);
    return `${space()}${text}${space()}:${write(item, choices)}`;
  });
  return `${space()}{${members.join(",")}${space()}}`;
}

describe("scanMembers", () => {
  it("finds the same values as JSON.parse, byte for byte", () => {
    fc.assert(
      fc.property(spacedObject, (text) => {
        const parsed: Record<string, unknown> = JSON.parse(text);
        const values = found(text);
        for (const key of KEYS) {
          expect(Object.hasOwn(values, key)).toBe(Object.hasOwn(parsed, key));
          if (!Object.hasOwn(values, key)) continue;
          expect(JSON.parse(String(values[key]))).toEqual(parsed[key]);
          expect(values[key]).toBe(String(values[key]).trim());
        }
      }),
      { numRuns: 500 },
    );
  });

  it("comes to an end on any bytes at all", () => {
    const jsonish = fc.array(fc.constantFrom(...'{}[]",:\\ mode"l1\u00e9'.split("")), { maxLength: 60 });
    fc.assert(
      fc.property(jsonish, (letters) => {
        expect(scan(letters.join("")).kind).toBeTypeOf("string");
        expect(scan(`{"model":${letters.join("")}`).kind).toBeTypeOf("string");
      }),
      { numRuns: 1000 },
    );
  });

  it("does not take values for keys", () => {
    expect(found('{"a":"model","b":["stream"],"model":"m"}')).toEqual({ model: '"m"' });
  });

  it("ignores members of inner objects", () => {
    expect(found('{"messages":[{"model":"x","model":"y"}],"stream":true}')).toEqual({ stream: "true" });
  });

  it("is not confused by quotes and brackets within strings", () => {
    expect(found('{"a":"}\\"],\\\\","model":"m\\"{"}')).toEqual({ model: '"m\\"{"' });
  });

  it("sees through escapes in keys", () => {
    expect(found('{"mod\\u0065l":"m"}')).toEqual({ model: '"m"' });
    expect(found('{"\\\\u006dodel":"m"}')).toEqual({});
  });

  it.each(['{"model":"a","model":"b"}', '{"model":"a", "\\u006dodel" : "b"}'])("reports duplicates in %s", (text) => {
    expect(scan(text)).toEqual({ kind: "duplicate", key: "model" });
  });

  it.each(["", "[]", '"x"', "null", " 1"])("says that %j is no object", (text) => {
    expect(scan(text)).toEqual({ kind: "not_an_object" });
  });

  it("allows the deepest honest nesting and not one level more", () => {
    const nested = (depth: number) => `{"a":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`;
    expect(scan(nested(MAX_DEPTH)).kind).toBe("members");
    expect(scan(nested(MAX_DEPTH + 1)).kind).toBe("too_deep");
  });

  it("gives up at once on a million brackets", () => {
    expect(scan(`{"a":${"[".repeat(1_000_000)}`).kind).toBe("too_deep");
  });
});
