// Walks over the tokens of a JSON text of bytes, and refuses what JSON.parse refuses, without building anything of it.
import { AimError } from "../../errors.ts";
import { Text } from "./text.ts";

/** Nesting beyond this is refused: no honest request comes near it. */
export const MAX_DEPTH = 64;

export const QUOTE = 0x22;
export const COMMA = 0x2c;
export const COLON = 0x3a;
export const BACKSLASH = 0x5c;
export const OPEN_BRACE = 0x7b;
export const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const PLUS = 0x2b;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const SMALL_E = 0x65;
const SMALL_F = 0x66;
const SMALL_N = 0x6e;
const SMALL_T = 0x74;

/**
 * Each method takes the index where something begins and returns the one after its end. Bytes that are no JSON end it with
 * `invalid_json`; that they are UTF-8 is not looked at. It never recurses.
 */
export class Json {
  readonly #body: Buffer;
  readonly #text: Text;
  /** The brackets that the values being walked over are to be closed with, the innermost last. */
  readonly #open: number[] = [];

  constructor(body: Buffer) {
    this.#body = body;
    this.#text = new Text(body);
  }

  /** Whether there was nothing else so far. */
  get isAscii(): boolean {
    return this.#text.isAscii;
  }

  space(start: number): number {
    let at = start;
    while (isSpace(this.#byte(at))) at++;
    return at;
  }

  /** One byte that must be there, and white space after it. */
  token(byte: number, at: number): number {
    if (this.#byte(at) !== byte) throw invalidJson(at);
    return this.space(at + 1);
  }

  string(start: number): number {
    if (this.#byte(start) !== QUOTE) throw invalidJson(start);
    const end = this.#text.end(start + 1);
    if (this.#byte(end) !== QUOTE) throw invalidJson(end);
    return end + 1;
  }

  /** Any value that is a member of the outermost object. */
  value(start: number): number {
    const open = this.#open;
    let at = this.#enter(start);
    while (open.length > 0) {
      at = this.space(at);
      const closing = open[open.length - 1];
      if (this.#byte(at) === closing) {
        open.pop();
        at++;
      } else {
        at = this.token(COMMA, at);
        at = this.#enter(closing === CLOSE_BRACE ? this.#key(at) : at);
      }
    }
    return at;
  }

  /** Through the opening brackets of a value up to the end of the first one within that has no others in it. */
  #enter(start: number): number {
    let at = start;
    for (;;) {
      const byte = this.#byte(at);
      if (byte !== OPEN_BRACE && byte !== OPEN_BRACKET) return this.#scalar(at);
      const closing = byte === OPEN_BRACE ? CLOSE_BRACE : CLOSE_BRACKET;
      if (this.#open.push(closing) >= MAX_DEPTH) throw tooDeep();
      at = this.space(at + 1);
      if (this.#byte(at) === closing) return at;
      if (closing === CLOSE_BRACE) at = this.#key(at);
    }
  }

  /** A key, the colon, and the space around it. */
  #key(start: number): number {
    return this.token(COLON, this.space(this.string(start)));
  }

  #scalar(start: number): number {
    switch (this.#byte(start)) {
      case QUOTE:
        return this.string(start);
      case SMALL_T:
        return this.#word("true", start);
      case SMALL_F:
        return this.#word("false", start);
      case SMALL_N:
        return this.#word("null", start);
      default:
        return this.#number(start);
    }
  }

  #word(word: string, start: number): number {
    for (let index = 0; index < word.length; index++) {
      if (this.#byte(start + index) !== word.charCodeAt(index)) throw invalidJson(start + index);
    }
    return start + word.length;
  }

  #number(start: number): number {
    let at = this.#byte(start) === MINUS ? start + 1 : start;
    at = this.#byte(at) === ZERO ? at + 1 : this.#digits(at);
    if (this.#byte(at) === DOT) at = this.#digits(at + 1);
    // As with all letters, one bit is the difference between small and capital.
    if ((this.#byte(at) | 0x20) !== SMALL_E) return at;
    const sign = this.#byte(at + 1);
    return this.#digits(sign === PLUS || sign === MINUS ? at + 2 : at + 1);
  }

  /** One at least. */
  #digits(start: number): number {
    let at = start;
    while (isDigit(this.#byte(at))) at++;
    if (at === start) throw invalidJson(at);
    return at;
  }

  /** Behind the last one it is 0, which is no JSON. */
  #byte(at: number): number {
    return at < this.#body.length ? (this.#body[at] ?? 0) : 0;
  }
}

function isSpace(byte: number): boolean {
  return byte <= 0x20 && (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09);
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE;
}

/** Says where, and not what stands there: prompts belong in no message or log. */
export function invalidJson(at: number): AimError {
  return new AimError("invalid_json", `the request body is not valid JSON, at byte ${at}`);
}

function tooDeep(): AimError {
  return new AimError("invalid_json", `the request body must not nest deeper than ${MAX_DEPTH} levels`);
}
