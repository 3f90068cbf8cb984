// A YAML text as data that remembers where each value stands, so that a fault can be shown at its line and column.
import { LineCounter, isMap, isNode, isScalar, isSeq, parseDocument, type Document } from "yaml";

/** Something wrong at a place inside a file. */
export interface Finding {
  readonly path: readonly PropertyKey[];
  /** What was expected, or what to do, as a sentence without its place. */
  readonly message: string;
  /** Whether to point at the key or at its value (the default). */
  readonly at?: "key";
}

export interface Position {
  readonly line: number;
  readonly col: number;
}

export interface YamlSource {
  readonly value: unknown;
  position(path: readonly PropertyKey[], at?: "key"): Position;
}

/** A text that is no YAML, or one that no person wrote. */
export interface YamlFault extends Position {
  readonly message: string;
}

export const MAX_YAML_BYTES = 32 * 1024;
const MAX_NESTING = 40;
const MAX_ALIASES = 50;

/** Plain data whatever a file's directives and tags ask for: no dates, sets or symbols. */
const OPTIONS = { schema: "core", resolveKnownTags: false, prettyErrors: false, logLevel: "error" } as const;

/** Parses one document. Every fault is reported, none is thrown. */
export function parseYaml(text: string): { readonly source: YamlSource } | { readonly faults: YamlFault[] } {
  const fault = (message: string, at: Position = { line: 1, col: 1 }) => ({ faults: [{ ...at, message }] });
  const tooDeep = findDeepNesting(text);
  if (tooDeep !== undefined) return fault("nested too deeply", tooDeep);
  const lines = new LineCounter();
  try {
    const document = parseDocument(text, { ...OPTIONS, lineCounter: lines });
    // A warning is a tag that means nothing here: not ours to guess at.
    const faults = [...document.errors, ...document.warnings];
    if (faults.length > 0)
      return { faults: faults.map(({ pos, message }) => ({ ...positionOf(lines, pos[0]), message })) };
    const value: unknown = document.toJS({ maxAliasCount: MAX_ALIASES });
    if (containsItself(value, [])) return fault("an alias stands inside of what it names");
    return { source: { value, position: (path, at) => positionOf(lines, offsetOf(document, path, at)) } };
  } catch (error) {
    // What the parser throws instead of collecting it: an alias without its anchor, or too many of them.
    return fault(error instanceof Error ? error.message : String(error));
  }
}

/**
 * The parser is recursive, and quadratic or worse on chains of block indicators ("? ? ? …"): four minutes for 60 KB.
 * So the depth is bounded before it sees the text, by what opens a level: indicators and indentation at the start of a
 * line, brackets, and colons within one line.
 */
function findDeepNesting(text: string): Position | undefined {
  let brackets = 0;
  for (const [index, line] of text.split("\n").entries()) {
    const lead = /^[\s?:-]*/.exec(line)?.[0] ?? "";
    const indicators = lead.replaceAll(/\s/g, "").length;
    brackets = Math.max(0, brackets + count(line, /[[{]/g) - count(line, /[\]}]/g));
    const opened = count(line, /[[{]/g) + count(line, /:\s/g);
    if (lead.length > 4 * MAX_NESTING || indicators > MAX_NESTING || brackets > MAX_NESTING || opened > 4 * MAX_NESTING)
      return { line: index + 1, col: 1 };
  }
  return undefined;
}

/** Aliases can tie a value into a knot, on which every walk over it would never end. */
function containsItself(value: unknown, above: readonly object[]): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (above.includes(value)) return true;
  return Object.values(value).some((inner) => containsItself(inner, [...above, value]));
}

function count(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0;
}

function positionOf(lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), col: Math.max(1, col) };
}

/** Where the value (or key) at the path begins; for a path that leads nowhere, where its nearest parent's key does. */
function offsetOf(document: Document, path: readonly PropertyKey[], at: "key" | undefined): number {
  let node: unknown = document.contents;
  let key: unknown;
  for (const step of path) {
    const next = child(node, step);
    if (next === undefined) return startOf(key) ?? startOf(node) ?? 0;
    [key, node] = [next.key, next.value];
  }
  return (at === "key" ? startOf(key) : undefined) ?? startOf(node) ?? startOf(key) ?? 0;
}

function child(node: unknown, step: PropertyKey): { readonly key?: unknown; readonly value: unknown } | undefined {
  if (isSeq(node)) return { value: node.items[Number(step)] };
  if (!isMap(node)) return undefined;
  return node.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === String(step));
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}
