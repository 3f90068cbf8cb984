// From a zod schema to findings that a person can act on: what was expected, where, and the nearest right word.
import { z } from "zod";
import { nearest } from "./nearest.ts";
import type { Finding } from "./yaml-source.ts";

export interface Checked<T> {
  /**
   * The parsed value. With findings, it is what remains when the faulty fields are taken away (undefined when that is not
   * enough), so that checks that span fields can still speak and all faults of a file are reported at once.
   */
  readonly data: T | undefined;
  readonly findings: readonly Finding[];
}

/** Checks a value against the schema of a file. */
export function checkSchema<T>(schema: z.ZodType<T>, value: unknown): Checked<T> {
  const result = schema.safeParse(value);
  if (result.success) return { data: result.data, findings: [] };
  const findings = result.error.issues.flatMap((issue) => findingsOf(issue, schema, value));
  return { data: schema.safeParse(withoutFaulty(value, findings)).data, findings };
}

type Issue = z.core.$ZodIssue;

function findingsOf(issue: Issue, schema: z.ZodType, value: unknown): Finding[] {
  const { path, code } = issue;
  const orMissing = (message: string) =>
    path.length > 0 && valueAt(value, path) === undefined ? `missing; ${message}` : message;
  if (code === "unrecognized_keys") {
    const known = knownKeys(schema, path);
    return issue.keys.map((key) => ({ path: [...path, key], at: "key", message: unknownKey(key, known) }));
  }
  if (code === "invalid_key") return [{ path, at: "key", message: issue.issues[0]?.message ?? issue.message }];
  if (code === "invalid_value")
    return [{ path, message: orMissing(unknownWord(valueAt(value, path), issue.values.map(String))) }];
  if (code === "invalid_union") return findingsOfUnion(issue, schema, value);
  return [{ path, message: orMissing(inWords(issue)) }];
}

const KINDS: Readonly<Record<string, string>> = {
  boolean: "true or false",
  string: "text",
  number: "a number",
  int: "a whole number",
  array: "a list",
  object: "a map of keys and values",
  record: "a map of keys and values",
};

/** What zod says of itself is for programmers; what our schemas say instead is kept. */
function inWords(issue: Issue): string {
  const { code, message } = issue;
  if (code === "invalid_type" && message.startsWith("Invalid input"))
    return `expected ${KINDS[issue.expected] ?? issue.expected}`;
  if (code === "too_small" && message.startsWith("Too small"))
    return issue.origin === "string" ? "expected text, found nothing" : `expected ${issue.minimum} or more`;
  if (code === "too_big" && message.startsWith("Too big")) return `expected ${issue.maximum} or less`;
  return message;
}

/** The alternative that the value is meant to be is the one that fits at least on the outside. */
function findingsOfUnion(issue: z.core.$ZodIssueInvalidUnion, schema: z.ZodType, value: unknown): Finding[] {
  const meant = issue.errors.find((issues) =>
    issues.every((inner) => inner.path.length > 0 || inner.code !== "invalid_type"),
  );
  if (meant === undefined) return [{ path: issue.path, message: issue.message }];
  return meant.flatMap((inner) => findingsOf({ ...inner, path: [...issue.path, ...inner.path] }, schema, value));
}

function unknownKey(key: string, known: readonly string[]): string {
  const meant = nearest(key, known);
  return meant === undefined
    ? `unknown key; the keys here are ${known.join(", ")}`
    : `unknown key; did you mean "${meant}"?`;
}

function unknownWord(word: unknown, known: readonly string[]): string {
  const meant = typeof word === "string" ? nearest(word, known) : undefined;
  const expected = `expected one of ${known.join(", ")}`;
  return meant === undefined ? expected : `${expected}; did you mean "${meant}"?`;
}

/** The keys that the object at `path` may have. */
function knownKeys(schema: z.core.$ZodType, path: readonly PropertyKey[]): string[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) return knownKeys(schema.unwrap(), path);
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) return knownKeys(schema.unwrap(), path);
  if (schema instanceof z.ZodUnion) return schema.options.flatMap((option) => knownKeys(option, path));
  const [step, ...rest] = path;
  if (schema instanceof z.ZodRecord) {
    const { keyType, valueType } = schema;
    if (step === undefined) return keyType instanceof z.ZodEnum ? keyType.options.map(String) : [];
    return knownKeys(valueType, rest);
  }
  if (schema instanceof z.ZodArray) return knownKeys(schema.element, rest);
  if (!(schema instanceof z.ZodObject)) return [];
  if (step === undefined) return Object.keys(schema.shape);
  const field: unknown = schema.shape[String(step)];
  return field instanceof z.ZodType ? knownKeys(field, rest) : [];
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((inner, step) => (isObject(inner) ? Reflect.get(inner, step) : undefined), value);
}

/** Unknown keys go by themselves; a faulty value takes its whole top-level field along, lest half a field mislead. */
function withoutFaulty(value: unknown, findings: readonly Finding[]): unknown {
  const rest = structuredClone(value);
  for (const { path, at } of findings) {
    const doomed = at === "key" ? path : path.slice(0, 1);
    const parent = valueAt(rest, doomed.slice(0, -1));
    const key = doomed.at(-1);
    if (isObject(parent) && key !== undefined) Reflect.deleteProperty(parent, key);
  }
  return rest;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
