// Bodies for whoever reads JSON: in all its spellings, and the same after accidents.
import * as fc from "fast-check";

/** What a body may nest. */
export interface BodyOptions {
  /** Keys that are to occur often, some of them spelled with escapes. */
  readonly keys: readonly string[];
  /** Deepest nesting to be tried, more or less. */
  readonly depth: number;
}

/** Bytes of any JSON, mostly objects. */
export function jsonBodies({ keys, depth }: BodyOptions): fc.Arbitrary<Buffer> {
  const key = fc.oneof(fc.constantFrom(...keys).chain(spelled), text);
  const member = (value: fc.Arbitrary<string>) => fc.tuple(spaced(key), spaced(value)).map((parts) => parts.join(":"));
  const wrapped = (value: fc.Arbitrary<string>) =>
    fc.tuple(fc.nat(depth), value).map(([times, inner]) => "[".repeat(times) + inner + "]".repeat(times));
  const { value } = fc.letrec<{ value: string }>((tie) => ({
    value: fc.oneof(
      { depthSize: "small" },
      { weight: 6, arbitrary: fc.oneof(word, number, text) },
      { weight: 1, arbitrary: fc.oneof(tokenIds, longText) },
      { weight: 2, arbitrary: listed("[", spaced(tie("value")), "]") },
      { weight: 2, arbitrary: listed("{", member(tie("value")), "}") },
      { weight: 1, arbitrary: wrapped(tie("value")) },
    ),
  }));
  return fc
    .oneof({ weight: 9, arbitrary: spaced(listed("{", member(value), "}")) }, { weight: 1, arbitrary: spaced(value) })
    .map((json) => Buffer.from(json));
}

/** One to three bytes flipped, inserted or deleted, or an end cut off. */
export function broken(bodies: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  return fc
    .tuple(bodies, fc.array(accident, { minLength: 1, maxLength: 3 }))
    .map(([body, accidents]) => accidents.reduce((bytes, happen) => happen(bytes), body));
}

const word = fc.constantFrom("true", "false", "null", "[]", "{}", "[ ]", "{\n}");
const space = fc.constantFrom("", "", "", " ", "\n", "\r\n", "\t  ");
const digits = fc.nat(999_999).map(String);
const number = fc
  .tuple(
    fc.constantFrom("", "-"),
    fc.oneof(fc.constantFrom("0", "12345678901234567890"), fc.integer({ min: 1 }).map(String)),
    fc.oneof(
      fc.constant(""),
      digits.map((part) => `.0${part}`),
    ),
    fc.oneof(
      fc.constant(""),
      fc.tuple(fc.constantFrom("e", "E", "e+", "E-"), digits).map((power) => power.join("")),
    ),
  )
  .map((parts) => parts.join(""));

const plain = fc.string({
  unit: fc.constantFrom(...Array.from(" ~!#[]{}:,abcdeu0123456789/")),
  minLength: 1,
  maxLength: 40,
});
const hex4 = fc.oneof(fc.nat(0xffff), fc.constantFrom(0x22, 0x5c, 0xd83d, 0xde00)).chain((code) => {
  const hex = code.toString(16).padStart(4, "0");
  return fc.constantFrom(hex, hex.toUpperCase());
});
const piece = fc.oneof(
  { weight: 3, arbitrary: plain },
  fc.constantFrom('\\"', "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t"),
  hex4.map((hex) => `\\u${hex}`),
  fc.constantFrom("\u007f", "é", "你好", "\u2028", "\ufeff", "😀"),
);
const text = fc.array(piece, { maxLength: 6 }).map((pieces) => `"${pieces.join("")}"`);

/** Longer than what is looked at in one go. */
const longText = fc.array(piece, { minLength: 10, maxLength: 60 }).map((pieces) => `"${pieces.join("")}"`);
const tokenIds = fc
  .tuple(fc.constantFrom(",", ", ", " ,\n"), fc.array(fc.nat(128_000), { minLength: 10, maxLength: 60 }))
  .map(([comma, ids]) => `[${ids.join(comma)}]`);

/** A key in quotes, with escapes for some of its letters. */
function spelled(key: string): fc.Arbitrary<string> {
  return fc.nat().map((choice) => {
    // Three in four stay as they are.
    const isEscaped = (index: number) => choice % 4 === 0 && ((choice >> (index + 2)) & 1) === 1;
    const letters = Array.from(key, (letter, index) =>
      isEscaped(index) ? `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}` : letter,
    );
    return `"${letters.join("")}"`;
  });
}

function spaced(inner: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.tuple(space, inner, space).map((parts) => parts.join(""));
}

function listed(open: string, item: fc.Arbitrary<string>, close: string): fc.Arbitrary<string> {
  return fc.array(item, { maxLength: 5 }).map((items) => open + items.join(",") + close);
}

const telling = fc.constantFrom(...Buffer.from('"\\{}[]:,0eu-+.n \n\u0000\u001f\u00e9'));
const accident = fc
  .tuple(
    fc.constantFrom("flip", "insert", "delete", "cut"),
    fc.nat(),
    fc.oneof(telling, fc.integer({ min: 0, max: 255 })),
  )
  .map(([how, where, byte]) => (body: Buffer): Buffer => {
    const at = where % (body.length + 1);
    const head = body.subarray(0, at);
    if (how === "cut") return head;
    const middle = how === "delete" ? [] : [byte];
    return Buffer.concat([head, Buffer.from(middle), body.subarray(how === "insert" ? at : at + 1)]);
  });
