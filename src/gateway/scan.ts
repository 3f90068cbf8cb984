// Finds the members of a request body that mean something to the gateway, in the one walk that also checks that it is JSON.
import { isUtf8 } from "node:buffer";
import { AimError } from "../errors.ts";
import { walkMembers } from "./json/json.ts";

/** Half-open range of bytes. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A member of the outermost object: where its value lies, and all that goes when it is left out. */
export interface Member extends Span {
  readonly whole: Span;
}

const NAMES = ["model", "stream", "keep_alive", "tools", "messages", "prompt", "input"] as const;
type Name = (typeof NAMES)[number];

/** None stands there twice: a backend might go by the other one. */
export type Members = { readonly [name in Name]?: Member };

const COMMA = 0x2c;
const NINE = 0x39;
const BACKSLASH = 0x5c;
const SMALL_U = 0x75;

/**
 * Accepts what JSON.parse accepts, where that is an object in UTF-8, not nested too deep, and has no member twice that is
 * among `Members`. Refuses anything else with an `AimError` that says why. Takes time in proportion to the bytes.
 */
export function scanMembers(body: Buffer): Members {
  const members: { -readonly [name in Name]?: Member } = {};
  const { isAscii } = walkMembers(body, (key, keyEnd, start, end) => {
    const name = nameOf(body, key + 1, keyEnd - 1);
    if (name === undefined) return;
    if (members[name] !== undefined) throw duplicate(name);
    members[name] = { start, end, whole: withComma(body, key, end) };
  });
  if (!isAscii && !isUtf8(body)) throw new AimError("invalid_json", "the request body is not valid UTF-8");
  return members;
}

/** What lies between two commas or brackets, and one of the commas: the one before, or for the first member the one after. */
function withComma(body: Buffer, key: number, valueEnd: number): Span {
  let before = key - 1;
  while (isSpace(body[before])) before--;
  let after = valueEnd;
  while (isSpace(body[after])) after++;
  if (body[before] === COMMA) return { start: before, end: after };
  return { start: before + 1, end: body[after] === COMMA ? after + 1 : after };
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function nameOf(body: Buffer, start: number, end: number): Name | undefined {
  for (const name of NAMES) if (endOfName(body, start, name) === end) return name;
  return undefined;
}

/** Index after the name, if it stands there; escapes, which for its letters can only be \uXXXX, are seen through. */
function endOfName(body: Buffer, start: number, name: string): number {
  let at = start;
  for (let index = 0; index < name.length; index++) {
    const isEscaped = body[at] === BACKSLASH && body[at + 1] === SMALL_U;
    const letter = isEscaped ? escapedLetter(body, at + 2) : body[at];
    if (letter !== name.charCodeAt(index)) return -1;
    at += isEscaped ? 6 : 1;
  }
  return at;
}

/** Of four hexadecimal digits. */
function escapedLetter(body: Buffer, start: number): number {
  let letter = 0;
  for (const digit of body.subarray(start, start + 4)) letter = letter * 16 + (digit & 0xf) + (digit > NINE ? 9 : 0);
  return letter;
}

function duplicate(name: Name): AimError {
  return new AimError("duplicate_key", `the request body has "${name}" more than once`, { param: name });
}
