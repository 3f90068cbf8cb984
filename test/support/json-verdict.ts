// What is to be said of a body, by JSON.parse and by tokens that a regular expression finds: slow, and made in another way
// than what it judges.
import { isUtf8 } from "node:buffer";

export interface Found {
  readonly start: number;
  readonly end: number;
}

export type Verdict =
  /** By one of these codes: which one depends on what is met first. */
  | { readonly kind: "refused"; readonly codes: readonly string[] }
  | { readonly kind: "accepted"; readonly found: Readonly<Record<string, Found>> };

export interface Rules {
  /** Keys that may occur once only in the outermost object. */
  readonly keys: readonly string[];
  readonly maxDepth: number;
}

/** Whether a body is to be accepted, and where the values of its keys lie. */
export function verdictOf(body: Buffer, { keys, maxDepth }: Rules): Verdict {
  const either: Verdict = { kind: "refused", codes: ["invalid_json", "duplicate_key"] };
  if (!isUtf8(body)) return either;
  const text = body.toString("utf8");
  if (!isJson(text)) return either;
  if (!text.trimStart().startsWith("{")) return { kind: "refused", codes: ["invalid_json"] };
  const { members, depth } = walk(text);
  if (depth > maxDepth) return either;
  const known = members.filter(({ key }) => keys.includes(key));
  if (new Set(known.map(({ key }) => key)).size < known.length) return { kind: "refused", codes: ["duplicate_key"] };
  const inBytes = (index: number) => Buffer.byteLength(text.slice(0, index));
  const found = known.map(({ key, start, end }) => [key, { start: inBytes(start), end: inBytes(end) }] as const);
  return { kind: "accepted", found: Object.fromEntries(found) };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    // That is the answer.
    return false;
  }
}

interface KeyedValue {
  readonly key: string;
  readonly start: number;
  readonly end: number;
}

/** Of valid JSON: the members of its outermost object, and how deep it nests. */
function walk(text: string): { readonly members: readonly KeyedValue[]; readonly depth: number } {
  const tokens = [...text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g)];
  const members: KeyedValue[] = [];
  let [level, depth] = [0, 0];
  tokens.forEach((token, index) => {
    if (token[0] === "{" || token[0] === "[") depth = Math.max(depth, ++level);
    if (token[0] === ":" && level === 1) members.push(valueAfter(tokens, index));
    if (token[0] === "}" || token[0] === "]") level--;
  });
  return { members, depth };
}

/** The member whose colon is the token at `colon`. */
function valueAfter(tokens: readonly RegExpExecArray[], colon: number): KeyedValue {
  let [level, last] = [0, colon];
  do {
    last++;
    const token = tokens[last]?.[0] ?? "";
    if (token === "{" || token === "[") level++;
    if (token === "}" || token === "]") level--;
  } while (level > 0);
  const [key, first, end] = [tokens[colon - 1], tokens[colon + 1], tokens[last]];
  if (key === undefined || first === undefined || end === undefined) throw new Error("not JSON");
  return { key: JSON.parse(key[0]) as string, start: first.index, end: end.index + end[0].length };
}
