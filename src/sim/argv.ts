// Reads a command line the way Python's argparse does, so that a recipe meets the same complaints here as at vLLM.
import { AimError } from "../errors.ts";

/** What follows a flag: one value, any number of them, or nothing (`--flag`, `--no-flag`). */
export type FlagKind = "value" | "list" | "switch";

export interface Syntax {
  readonly kinds: Readonly<Record<string, FlagKind>>;
  /** Short names ("tp") of long ones ("tensor-parallel-size"). */
  readonly aliases: Readonly<Record<string, string>>;
}

export interface ParsedArgv {
  readonly positionals: readonly string[];
  /** Values by long name; a switch has "true" or "false". */
  readonly values: ReadonlyMap<string, readonly string[]>;
  /** Flags that the syntax does not know, with what followed them. */
  readonly unknown: readonly string[];
}

/** Throws `invalid_value` with argparse's words when a flag lacks its value. */
export function parseArgv(argv: readonly string[], syntax: Syntax): ParsedArgv {
  const rest = [...argv];
  const positionals: string[] = [];
  const values = new Map<string, readonly string[]>();
  const unknown: string[] = [];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (!isFlag(word)) {
      positionals.push(word);
      continue;
    }
    const flag = resolve(word, syntax);
    if (flag.kind === undefined) {
      unknown.push([word, ...takeValues(rest)].join(" "));
      continue;
    }
    const given = valuesOf(flag, rest);
    values.set(flag.name, flag.kind === "list" ? [...(values.get(flag.name) ?? []), ...given] : given);
  }
  return { positionals, values, unknown };
}

/** The complaint argparse makes about one flag. */
export function argumentError(name: string, complaint: string): AimError {
  return new AimError("invalid_value", `argument --${name}: ${complaint}`, { param: name });
}

interface Flag {
  readonly name: string;
  readonly kind: FlagKind | undefined;
  readonly inline: string | undefined;
}

function resolve(word: string, { kinds, aliases }: Syntax): Flag {
  const equals = word.indexOf("=");
  const inline = equals < 0 ? undefined : word.slice(equals + 1);
  // vLLM takes --max_model_len for --max-model-len.
  const bare = (equals < 0 ? word : word.slice(0, equals)).replace(/^--?/, "").replaceAll("_", "-");
  const name = aliases[bare] ?? bare;
  const positive = name.replace(/^no-/, "");
  if (kinds[name] === undefined && kinds[positive] === "switch")
    return { name: positive, kind: "switch", inline: "false" };
  return { name, kind: kinds[name], inline };
}

function valuesOf(flag: Flag, rest: string[]): readonly string[] {
  if (flag.inline !== undefined) return [flag.inline];
  if (flag.kind === "switch") return ["true"];
  const following = flag.kind === "list" ? takeValues(rest) : takeValues(rest, 1);
  if (following.length === 0) {
    throw argumentError(flag.name, flag.kind === "list" ? "expected at least one argument" : "expected one argument");
  }
  return following;
}

function takeValues(rest: string[], most = Infinity): string[] {
  const end = rest.findIndex(isFlag);
  return rest.splice(0, Math.min(most, end < 0 ? rest.length : end));
}

/** A negative number is a value, not a flag. */
function isFlag(word: string): boolean {
  return /^-[^\d.]/.test(word);
}
