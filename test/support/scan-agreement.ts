// Whether the scanner of request bodies says of a body what it has to, for its tests and for a long run by hand.
import * as fc from "fast-check";
import { isDeepStrictEqual } from "node:util";
import { isAimError } from "../../src/errors.ts";
import { MAX_DEPTH } from "../../src/gateway/json/json.ts";
import { scanMembers, type Span } from "../../src/gateway/scan.ts";
import { broken, jsonBodies } from "./json-bodies.ts";
import { type Verdict, verdictOf } from "./json-verdict.ts";

const NAMES = ["model", "stream", "keep_alive", "tools", "messages", "prompt", "input"];

const RULES = { keys: NAMES, maxDepth: MAX_DEPTH };
const whole = jsonBodies({ keys: NAMES, depth: MAX_DEPTH + 2 });

/** What the scanner is tried on. */
export const triedBodies: fc.Arbitrary<Buffer> = fc.oneof(whole, broken(whole));

/** Throws where the scanner and JSON.parse are not of one mind. */
export function requireAgreement(body: Buffer): void {
  const expected = verdictOf(body, RULES);
  const seen = scanned(body);
  const agree =
    expected.kind === "refused"
      ? typeof seen === "string" && expected.codes.includes(seen)
      : typeof seen === "object" && isDeepStrictEqual(spans(seen), expected.found);
  if (!agree) throw new Error(`${JSON.stringify(body.toString("latin1"))}: ${text(expected)}, not ${text(seen)}`);
  if (typeof seen === "object") requireRemovable(body, seen);
}

type Found = ReturnType<typeof scanMembers>;

/** What was found, or the code of the error. */
function scanned(body: Buffer): Found | string {
  try {
    return scanMembers(body);
  } catch (error) {
    if (isAimError(error)) return error.code;
    throw error;
  }
}

function spans(found: Found): Record<string, Span> {
  return Object.fromEntries(Object.entries(found).map(([name, { start, end }]) => [name, { start, end }]));
}

/**
 * Each member must be gone with its whole span, and nothing else. Told by where the others lie: the keys of JSON.parse's own
 * objects are of no use here, since V8 takes "\\u0061" for the key "\\\\" when it has just seen an object with that one.
 */
function requireRemovable(body: Buffer, found: Found): void {
  for (const [name, { whole }] of Object.entries(found)) {
    const without = Buffer.concat([body.subarray(0, whole.start), body.subarray(whole.end)]);
    const { [name as keyof Found]: _, ...others } = found;
    if (!isDeepStrictEqual(texts(without, verdictOf(without, RULES)), texts(body, { kind: "accepted", found: others })))
      throw new Error(`${JSON.stringify(body.toString("latin1"))}: ${name} left out`);
  }
}

/** What was found, as it is written. */
function texts(body: Buffer, verdict: Verdict): readonly string[] | undefined {
  if (verdict.kind === "refused") return undefined;
  return Object.entries(verdict.found)
    .map(([name, { start, end }]) => `${name}:${body.toString("utf8", start, end)}`)
    .sort();
}

function text(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
