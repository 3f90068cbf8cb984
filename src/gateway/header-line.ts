// A line of a head, of a request or an answer: strict, since whatever two parsers read differently lets one message pose as two.
import { type MemoryLimits, memoized } from "../lib/memo.ts";

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// oxlint-disable-next-line no-control-regex -- control characters are what must not be there
const CONTROL = /[\0-\x08\x0a-\x1f\x7f]/;

/** Names of headers are few, and what is longer than any that has a meaning is not worth a place. */
export const NAMES: MemoryLimits = { most: 500, longest: 64 };

/** In lower case; empty for what is no name. */
const lowerCase = memoized(NAMES, (name) => (TOKEN.test(name) ? name.toLowerCase() : ""));

/** Adds name, in lower case, and value to names and values in turn; says what is wrong where the line is no header. */
export function addHeader(headers: string[], line: string): string | undefined {
  const colon = line.indexOf(":");
  // A line that begins with a space would continue the one before, which nobody does any more but those who attack.
  const lowerName = lowerCase(line.slice(0, Math.max(0, colon)));
  if (lowerName === "") return "a header has no proper name";
  if (CONTROL.test(line)) return "a header holds a control character";
  // Parsers differ in what they make of it.
  const isFraming = lowerName === "content-length" || lowerName === "transfer-encoding";
  if (isFraming && isBlank(line.charCodeAt(line.length - 1))) return `a blank follows the ${lowerName}`;
  headers.push(lowerName, trimmed(line, colon + 1));
  return undefined;
}

/** The first value of a header by its name in lower case. */
export function valueOf(headers: readonly string[], name: string): string | undefined {
  for (let at = 0; at < headers.length; at += 2) if (headers[at] === name) return headers[at + 1];
  return undefined;
}

/** What stands from `start` on without spaces and tabs around it. (`trim` takes off more, so that other characters would get lost.) */
function trimmed(line: string, start: number): string {
  let from = start;
  let to = line.length;
  while (from < to && isBlank(line.charCodeAt(from))) from++;
  while (to > from && isBlank(line.charCodeAt(to - 1))) to--;
  return line.slice(from, to);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
