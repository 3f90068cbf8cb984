// One recipe file, in our format or the existing AIM one: its recipes, or everything that is wrong with it.
import { isAimRecipe, readAimRecipe } from "./aim-recipe.ts";
import { readNativeRecipe } from "./native-recipe.ts";
import { checkPolicy, STRICT_POLICY, type Policy } from "./policy.ts";
import type { Reading } from "./reading.ts";
import type { Recipe } from "./recipe.ts";
import { MAX_YAML_BYTES, parseYaml, type Finding } from "../lib/yaml-source.ts";

/** A recipe file that could not be used; `message` begins with file, line and column. */
export interface RecipeProblem {
  readonly file: string;
  readonly message: string;
}

export interface RecipeFile {
  readonly recipes: readonly Recipe[];
  readonly problems: readonly RecipeProblem[];
}

/** Reads a file. A recipe that asks for more than the policy allows is a problem like any other. */
export function parseRecipeFile(file: string, bytes: Uint8Array, policy: Policy = STRICT_POLICY): RecipeFile {
  const fault = (message: string) => ({ recipes: [], problems: [{ file, message: `${file}: ${message}` }] });
  if (bytes.byteLength > MAX_YAML_BYTES) return fault(`larger than ${MAX_YAML_BYTES / 1024} KB, which no recipe is`);
  const text = decode(bytes);
  if (text === undefined) return fault("not UTF-8 text");
  const parsed = parseYaml(text);
  const problem = (at: { line: number; col: number }, message: string) => ({
    file,
    message: `${file}:${at.line}:${at.col}: ${message}`,
  });
  if ("faults" in parsed) return { recipes: [], problems: parsed.faults.map((it) => problem(it, it.message)) };
  const { source } = parsed;
  if (source.value === null) return fault("empty; a recipe has at least model, engine and profiles");
  const { recipes, findings } = allowed(read(file, source.value), policy);
  const placed = findings.map(({ path, message, at }) => ({
    position: source.position(path, at),
    text: sentence(path, message),
  }));
  placed.sort((a, b) => a.position.line - b.position.line || a.position.col - b.position.col);
  return { recipes, problems: placed.map(({ position, text }) => problem(position, text)) };
}

function allowed({ recipes, findings }: Reading, policy: Policy): Reading {
  const denied = recipes.flatMap((recipe) => checkPolicy(recipe, policy));
  return denied.length > 0 ? { recipes: [], findings: [...findings, ...denied] } : { recipes, findings };
}

function read(file: string, value: unknown): Reading {
  const unprintable = controlCharacters(value, []);
  const { recipes, findings } = isAimRecipe(value) ? readAimRecipe(file, value) : readNativeRecipe(file, value);
  const known = new Set(unprintable.map(({ path }) => path.join("\n")));
  const others = findings.filter(({ path }) => !known.has(path.join("\n")));
  return unprintable.length > 0 ? { recipes: [], findings: [...unprintable, ...others] } : { recipes, findings };
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined; // The only error of a fatal decoder is "not UTF-8".
  }
}

function sentence(path: readonly PropertyKey[], message: string): string {
  return path.length === 0 ? message : `${path.map(printable).join(".")}: ${message}`;
}

function printable(key: PropertyKey): string {
  return CONTROL_CHARACTER.test(String(key)) ? JSON.stringify(String(key)) : String(key);
}

// oxlint-disable-next-line no-control-regex -- finding them is the point
const CONTROL_CHARACTER = /[\u0000-\u001f\u007f]/;

/** Nothing in a recipe has a use for them, and in argv, env, labels and logs they do harm. */
function controlCharacters(value: unknown, path: readonly PropertyKey[]): Finding[] {
  if (typeof value === "string")
    return CONTROL_CHARACTER.test(value)
      ? [{ path, message: "line breaks and control characters are not allowed" }]
      : [];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [
    ...(CONTROL_CHARACTER.test(key)
      ? [{ path, message: "line breaks and control characters are not allowed in keys" }]
      : []),
    ...controlCharacters(inner, [...path, key]),
  ]);
}
