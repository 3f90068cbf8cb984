// Finds the members of a JSON object that routing needs by scanning bytes, so that a body can be passed on without being re-written.

/** Nesting beyond this is refused: no honest request comes near it. */
export const MAX_DEPTH = 64;

/** Half-open range of bytes. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A member of the outermost object: where its value lies, and all that goes when it is left out. */
export interface Member extends Span {
  readonly whole: Span;
}

export type Scan =
  | { readonly kind: "not_an_object" | "too_deep" }
  | { readonly kind: "duplicate"; readonly key: string }
  | { readonly kind: "members"; readonly members: ReadonlyMap<string, Member> };

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/**
 * Where `keys` lie among the members of the outermost object. Exact for valid JSON; for anything else it
 * ends early with what it saw, and JSON.parse has the word on validity. It never recurses.
 */
export function scanMembers(body: Buffer, keys: readonly string[]): Scan {
  const members = new Map<string, Member>();
  let at = skipSpace(body, 0);
  if (body[at] !== OPEN_BRACE) return { kind: "not_an_object" };
  while (body[at] === OPEN_BRACE || body[at] === COMMA) {
    const before = at;
    const keyStart = skipSpace(body, before + 1);
    if (body[keyStart] !== QUOTE) break;
    const keyEnd = endOfString(body, keyStart);
    const colon = skipSpace(body, keyEnd);
    if (body[colon] !== COLON) break;
    const start = skipSpace(body, colon + 1);
    at = endOfValue(body, start);
    if (at === -1) return { kind: "too_deep" };
    const key = keyText(body, keyStart + 1, keyEnd - 1);
    if (!keys.includes(key)) continue;
    if (members.has(key)) return { kind: "duplicate", key };
    members.set(key, { start, end: trimSpace(body, start, at), whole: withComma(body, before, at) });
  }
  return { kind: "members", members };
}

/** What lies between two commas or brackets, and one of the commas: the one before, or for the first member the one after. */
function withComma(body: Buffer, before: number, after: number): Span {
  if (body[before] === COMMA) return { start: before, end: after };
  return { start: before + 1, end: body[after] === COMMA ? after + 1 : after };
}

/** Index of the comma or bracket that ends the value, or the end of the body; -1 where it is nested too deep. */
function endOfValue(body: Buffer, start: number): number {
  let depth = 1;
  for (let at = start; at < body.length; at++) {
    const byte = body[at];
    if (byte === QUOTE) at = endOfString(body, at) - 1;
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (++depth > MAX_DEPTH) return -1;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      if (--depth === 0) return at;
    } else if (byte === COMMA && depth === 1) return at;
  }
  return body.length;
}

/** Index after the closing quote; native search, since prompts are long. */
function endOfString(body: Buffer, start: number): number {
  let quote = body.indexOf(QUOTE, start + 1);
  while (quote !== -1 && isEscaped(body, quote)) quote = body.indexOf(QUOTE, quote + 1);
  return quote === -1 ? body.length : quote + 1;
}

function isEscaped(body: Buffer, quote: number): boolean {
  let at = quote - 1;
  while (body[at] === BACKSLASH) at--;
  return (quote - at) % 2 === 0;
}

/** Letters can only be escaped as \uXXXX, so nothing else needs decoding to recognise a key. */
function keyText(body: Buffer, start: number, end: number): string {
  return body
    .toString("latin1", start, end)
    .replace(/\\u([0-9a-f]{4})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function skipSpace(body: Buffer, start: number): number {
  let at = start;
  while (isSpace(body[at])) at++;
  return at;
}

function trimSpace(body: Buffer, start: number, end: number): number {
  let at = end;
  while (at > start && isSpace(body[at - 1])) at--;
  return at;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
