// The knobs of the simulated engine: how fast it is and how it fails. Each is a flag and an environment variable.
import { AimError } from "../errors.ts";

interface Knob<T> {
  readonly fallback: T;
  /** What it takes, in the words of the help and of the error message. */
  readonly takes: string;
  readonly help: string;
  /** undefined when the text is no such value. */
  readonly parse: (text: string) => Exclude<T, undefined> | undefined;
}

/** Which requests a fault of the whole server meets. */
export type Scope = "none" | "inference" | "all";

const KNOBS = {
  loadSeconds: amount("seconds", 2, "time from the start of the process until the port listens"),
  prefillMsPerToken: amount("milliseconds", 0.1, "cost of one prompt token that is not in the prefix cache"),
  decodeMsPerToken: amount("milliseconds", 12, "cost of one step that gives every running request a token"),
  decodeMsPerSequence: amount("milliseconds", 0.3, "what each running request adds to such a step"),
  cacheBlocks: count("blocks", 16_384, "size of the KV cache, in blocks of --block-size tokens"),
  sleepSeconds: amount("seconds", 0.1, "how long POST /sleep takes"),
  wakeSeconds: amount("seconds", 0.3, "how long POST /wake_up takes"),
  spareRequests: count(
    "requests",
    0,
    "how many generations escape hang, stall, cut, error, html and redirect (a warm-up, say)",
  ),
  crashBeforeReady: optionalAmount("seconds", "exits that far into the load"),
  crashAfterReady: optionalAmount("seconds", "exits that long after it became ready"),
  exitCode: count("exit code", 1, "the exit code of a crash"),
  oom: toggle("runs out of GPU memory while it loads, and exits with 1"),
  childOom: optionalAmount(
    "seconds",
    "that long after ready a child fills its memory and is killed; the server stays, generations hang",
  ),
  childOomMib: count("MiB", 256, "how much that child allocates before it kills itself"),
  neverReady: toggle("loads half of the weights and then nothing more"),
  healthReadyLate: amount("seconds", 0, "/health answers 503 that long after the port listens"),
  slowHealth: amount("seconds", 0, "how long /health takes to answer"),
  badModels: toggle("serves another model than the one asked for"),
  hang: toggle("accepts generations, answers /health, and never generates"),
  stallAfterTokens: optionalCount("tokens", "a response stops there and stays open"),
  cutAfterTokens: optionalCount("tokens", "the connection is cut there, mid-stream or mid-body"),
  errorAfterTokens: optionalCount("tokens", "the engine fails there: in-band in a stream, else a 500"),
  html: scope("answers 200 with a page of HTML"),
  redirect: scope("answers 302"),
  ignoreSigterm: toggle("does not stop on SIGTERM"),
  logFlood: amount("lines per second", 0, "useless lines in the log"),
} as const;

type KnobName = keyof typeof KNOBS;
type Value<K> = K extends Knob<infer T> ? T : never;
export type Knobs = { readonly [N in KnobName]: Value<(typeof KNOBS)[N]> };

/** Flag names of the knobs, without dashes; `switches` are those that need no value. */
export const KNOB_FLAGS: readonly { readonly name: string; readonly switch: boolean }[] = Object.entries(KNOBS).map(
  ([name, knob]) => ({ name: flagOf(name), switch: typeof knob.fallback === "boolean" }),
);

/** A flag wins over its variable. Throws `invalid_value` for a bad value and for a variable that is no knob. */
export function readKnobs(
  flags: ReadonlyMap<string, readonly string[]>,
  env: Readonly<Record<string, string | undefined>>,
): Knobs {
  refuseUnknown(env);
  const values = Object.entries(KNOBS).map(([name, knob]) => {
    const flag = flags.get(flagOf(name))?.[0];
    if (flag !== undefined) return [name, parsed(knob, flag, `argument --${flagOf(name)}`)];
    const variable = env[variableOf(name)];
    // An empty variable is one that a compose file or a shell left unset.
    if (variable !== undefined && variable !== "")
      return [name, parsed(knob, variable, `variable ${variableOf(name)}`)];
    return [name, knob.fallback];
  });
  // A table becomes an object: every name of KNOBS is there, with what its own `parse` made or its own fallback.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return Object.fromEntries(values) as Knobs;
}

/** The text of `--sim-help`. */
export function knobHelp(): string {
  const rows = Object.entries(KNOBS).map(([name, knob]) => {
    const fallback = knob.fallback === undefined ? "off" : String(knob.fallback);
    return `  --${flagOf(name)}\n      ${variableOf(name)}=<${knob.takes}> (default ${fallback})\n      ${knob.help}`;
  });
  return ["Knobs of the simulated engine; a flag wins over its variable:", "", ...rows, ""].join("\n");
}

function parsed(knob: Knob<unknown>, text: string, source: string): unknown {
  const value = knob.parse(text);
  if (value !== undefined) return value;
  throw new AimError("invalid_value", `${source}: expected ${knob.takes}, got '${text}'; see --sim-help`);
}

function refuseUnknown(env: Readonly<Record<string, string | undefined>>): void {
  const known = new Set(Object.keys(KNOBS).map(variableOf));
  const stranger = Object.keys(env).find((name) => name.startsWith("AIM_SIM_") && !known.has(name));
  if (stranger === undefined) return;
  throw new AimError("invalid_value", `variable ${stranger}: there is no such knob; see --sim-help`);
}

function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function flagOf(name: string): string {
  return `sim-${kebab(name)}`;
}

function variableOf(name: string): string {
  return `AIM_SIM_${kebab(name).replaceAll("-", "_").toUpperCase()}`;
}

function parseAmount(text: string): number | undefined {
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
}

function parseCount(text: string): number | undefined {
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

function amount(unit: string, fallback: number, help: string): Knob<number> {
  return { fallback, takes: `a number of ${unit}`, help, parse: parseAmount };
}

function optionalAmount(unit: string, help: string): Knob<number | undefined> {
  return { fallback: undefined, takes: `a number of ${unit}`, help, parse: parseAmount };
}

function count(unit: string, fallback: number, help: string): Knob<number> {
  return { fallback, takes: `a whole number (${unit})`, help, parse: parseCount };
}

function optionalCount(unit: string, help: string): Knob<number | undefined> {
  return { fallback: undefined, takes: `a whole number (${unit})`, help, parse: parseCount };
}

function toggle(help: string): Knob<boolean> {
  const words: Readonly<Record<string, boolean>> = { "1": true, true: true, "0": false, false: false };
  return { fallback: false, takes: "1 or 0", help, parse: (text) => words[text] };
}

function scope(help: string): Knob<Scope> {
  const words: Readonly<Record<string, Scope>> = { none: "none", inference: "inference", all: "all" };
  return { fallback: "none", takes: "none, inference or all", help, parse: (text) => words[text] };
}
