// Finds the members of a request body that mean something to the gateway, in the one walk that also checks that it is JSON.
import { isUtf8 } from "node:buffer";
import { AimError } from "../errors.ts";
import { BACKSLASH, CLOSE_BRACE, COLON, COMMA, invalidJson, Json, OPEN_BRACE } from "./json/json.ts";

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

const NINE = 0x39;
const SMALL_U = 0x75;

/**
 * Accepts what JSON.parse accepts, where that is an object in UTF-8, not nested too deep, and has no member twice that is
 * among `Members`. Refuses anything else with an `AimError` that says why. Takes time in proportion to the bytes.
 */
export function scanMembers(body: Buffer): Members {
  const json = new Json(body);
  const opening = json.space(0);
  if (body[opening] !== OPEN_BRACE) throw notAnObject(body);
  const members: { -readonly [name in Name]?: Member } = {};
  const first = json.space(opening + 1);
  const closing = body[first] === CLOSE_BRACE ? first : findMembers(body, { json, opening, members });
  const end = json.token(CLOSE_BRACE, closing);
  if (end !== body.length) throw invalidJson(end);
  if (!json.isAscii && !isUtf8(body)) throw new AimError("invalid_json", "the request body is not valid UTF-8");
  return members;
}

interface Walk {
  readonly json: Json;
  /** Index of the brace. */
  readonly opening: number;
  readonly members: { [name in Name]?: Member };
}

/** Index after the last member. */
function findMembers(body: Buffer, { json, opening, members }: Walk): number {
  let at = opening;
  do {
    const before = at;
    const key = json.space(before + 1);
    const keyEnd = json.string(key);
    const start = json.token(COLON, json.space(keyEnd));
    const end = json.value(start);
    at = json.space(end);
    const name = nameOf(body, key + 1, keyEnd - 1);
    if (name === undefined) continue;
    if (members[name] !== undefined) throw duplicate(name);
    members[name] = { start, end, whole: withComma(body, before, at) };
  } while (body[at] === COMMA);
  return at;
}

/** What lies between two commas or brackets, and one of the commas: the one before, or for the first member the one after. */
function withComma(body: Buffer, before: number, after: number): Span {
  if (body[before] === COMMA) return { start: before, end: after };
  return { start: before + 1, end: body[after] === COMMA ? after + 1 : after };
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

function notAnObject(body: Buffer): AimError {
  const hasMark = body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf;
  const must = hasMark ? "not begin with a byte order mark" : "be a JSON object";
  return new AimError("invalid_json", `the request body must ${must}`);
}
