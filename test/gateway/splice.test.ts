import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseBody } from "../../src/gateway/request.ts";
import { resolveModel } from "../../src/gateway/resolve.ts";
import { spliced } from "../../src/gateway/splice.ts";

const space = fc.constantFrom("", " ", "\n", "\r\n\t");

/** An object's members in any order, with any white space, some keys being written with escapes. */
const request = fc
  .tuple(
    fc.dictionary(
      fc.string().filter((key) => !["model", "stream", "keep_alive", "__proto__"].includes(key)),
      fc.jsonValue({ maxDepth: 3 }),
      { noNullPrototype: true, maxKeys: 4 },
    ),
    fc.constantFrom<unknown>(0, -1, 300.5, "5m", "forever", null),
    fc.constantFrom('"keep_alive"', '"keep\\u005falive"'),
    fc.nat(5),
    fc.array(space, { minLength: 60, maxLength: 60 }),
  )
  .map(([others, keepAlive, key, place, spaces]) => {
    const gap = () => spaces.pop() ?? "";
    const members: [string, unknown][] = Object.entries({ model: "alias", ...others }).map(([name, value]) => [
      JSON.stringify(name),
      value,
    ]);
    members.splice(place, 0, [key, keepAlive]);
    const written = members.map(([name, value]) => `${gap()}${name}${gap()}:${gap()}${JSON.stringify(value)}${gap()}`);
    return `${gap()}{${written.join(",")}}${gap()}`;
  });

/** What the backend gets to see. */
function forwarded(text: string, model: string): string {
  const parsed = parseBody(Buffer.from(text));
  const read = { ...parsed, headers: [], hints: {}, maxWaitMs: Infinity };
  return resolveModel(read, { resolve: () => ({ model }), nearest: () => undefined }).body.toString("utf8");
}

describe("the body that is passed on", () => {
  it("is the same JSON without keep_alive, wherever it stands and however it is written", () => {
    fc.assert(
      fc.property(request, fc.constantFrom("alias", 'or"g/m'), (text, model) => {
        const { keep_alive: _, ...expected } = JSON.parse(text) as Record<string, unknown>;
        const body = forwarded(text, model);
        expect(JSON.parse(body)).toEqual({ ...expected, model });
        // Whatever is not taken out or replaced is there as it came.
        if (model === "alias") expect(isSubsequence(body, text)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  it.each([
    ['{"keep_alive":0,"model":"m"}', '{"model":"m"}'],
    ['{ "keep_alive" : 0 , "seed":12345678901234567890, "model":"m" }', '{ "seed":12345678901234567890, "model":"m" }'],
    ['{"model":"m","keep_alive":"5m","stream":true}', '{"model":"m","stream":true}'],
    ['{"model":"m", "keep_alive":-1 }', '{"model":"m"}'],
    ['{"model":"alias","keep_alive":1,"keep_alive_":{"keep_alive":1}}', '{"model":"m","keep_alive_":{"keep_alive":1}}'],
  ])("of %s is %s", (text, expected) => {
    expect(forwarded(text, "m")).toBe(expected);
  });

  it("is the very buffer that came where nothing is ours", () => {
    const body = Buffer.from('{"model":"m"}');
    expect(spliced(body, [])).toBe(body);
  });
});

function isSubsequence(part: string, whole: string): boolean {
  let at = 0;
  for (const letter of whole) if (letter === part[at]) at++;
  return at >= part.length;
}
