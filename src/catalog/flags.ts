// Command-line flags of engines: read from both forms of `args`, merged, and checked against what only we may set.
import type { Engine } from "./recipe.ts";
import type { Finding } from "../lib/yaml-source.ts";

export type FlagValue = string | number | boolean | readonly (string | number)[];
export type ArgsInput = Readonly<Record<string, FlagValue>> | readonly string[];

/** One flag with its values. */
export interface Flag {
  /** As compared: long form, dashes for underscores; empty for words before any flag. */
  readonly name: string;
  /** What stands on the command line; empty for a flag that is switched off. */
  readonly tokens: readonly string[];
  readonly path: readonly PropertyKey[];
}

const LOOKS_LIKE_FLAG = /^--?[A-Za-z]/;

/** Other spellings of the flags that we look at. */
const LONG_NAMES: Readonly<Record<string, string>> = {
  "-tp": "--tensor-parallel-size",
  "--tp": "--tensor-parallel-size",
  "--tp-size": "--tensor-parallel-size",
  "-pp": "--pipeline-parallel-size",
  "--pp": "--pipeline-parallel-size",
  "--pp-size": "--pipeline-parallel-size",
  "-dp": "--data-parallel-size",
  "--dp": "--data-parallel-size",
  "--dp-size": "--data-parallel-size",
  "-a": "--alias",
};

const WHERE_IT_LISTENS = "the gateway decides where a replica listens";
const NAMED_BY_MODEL = 'the recipe\'s "model" says it';
const SERVED_NAME = 'a replica serves the recipe\'s "model"; other names go into "aliases"';
const OWN_KEY = "replicas take requests from the gateway alone, and it checks the keys";

const COMMON_RESERVED = { "--host": WHERE_IT_LISTENS, "--port": WHERE_IT_LISTENS, "--api-key": OWN_KEY };
const VLLM_RESERVED = {
  ...COMMON_RESERVED,
  "--uds": WHERE_IT_LISTENS,
  "--model": NAMED_BY_MODEL,
  "--served-model-name": SERVED_NAME,
};

/** Flags that are ours to set, with the reason. */
const RESERVED: Readonly<Record<Engine, Readonly<Record<string, string>>>> = {
  vllm: VLLM_RESERVED,
  sim: VLLM_RESERVED,
  sglang: { ...VLLM_RESERVED, "--model-path": NAMED_BY_MODEL },
  // llama.cpp's --model is a file, which the recipe has to name.
  "llama.cpp": { ...COMMON_RESERVED, "--api-key-file": OWN_KEY, "--alias": SERVED_NAME },
  openai: {},
};

/** The long form of a flag: `--tensor_parallel_size=4` and `-tp` are `--tensor-parallel-size`. */
export function flagName(token: string): string {
  const name = token.split("=", 1)[0]?.replaceAll("_", "-") ?? token;
  return LONG_NAMES[name] ?? name;
}

/** The flags of an engine that are ours to set, with the reason. */
export function reservedFlags(engine: Engine): Readonly<Record<string, string>> {
  return RESERVED[engine];
}

/** Why a flag is not the recipe's to set; undefined when it is. */
export function whyReserved(engine: Engine, name: string): string | undefined {
  const why = RESERVED[engine];
  return Object.hasOwn(why, name) ? why[name] : undefined;
}

export function readFlags(input: ArgsInput, path: readonly PropertyKey[]): Flag[] {
  return isList(input) ? flagsOfList(input, path) : flagsOfMap(input, path);
}

// Array.isArray does not narrow a readonly array.
function isList(input: ArgsInput): input is readonly string[] {
  return Array.isArray(input);
}

function flagsOfMap(input: Readonly<Record<string, FlagValue>>, path: readonly PropertyKey[]): Flag[] {
  return Object.entries(input).map(([key, value]) => {
    const flag = key.startsWith("-") ? key : `--${key}`;
    return { name: flagName(flag), tokens: tokensOf(flag, value), path: [...path, key] };
  });
}

function tokensOf(flag: string, value: FlagValue): string[] {
  if (value === false) return [];
  if (value === true) return [flag];
  if (typeof value === "string" || typeof value === "number") return [flag, String(value)];
  return [flag, ...value.map(String)];
}

function flagsOfList(input: readonly string[], path: readonly PropertyKey[]): Flag[] {
  const flags: { name: string; tokens: string[]; path: readonly PropertyKey[] }[] = [];
  for (const [index, token] of input.entries()) {
    const last = flags.at(-1);
    const isFlag = LOOKS_LIKE_FLAG.test(token);
    if (isFlag || last === undefined)
      flags.push({ name: isFlag ? flagName(token) : "", tokens: [token], path: [...path, index] });
    else last.tokens.push(token);
  }
  return flags;
}

/** The flags of a recipe under those of a profile: a flag that the profile names is the profile's alone. */
export function mergeFlags(recipe: readonly Flag[], profile: readonly Flag[]): Flag[] {
  const overridden = new Set(profile.map((flag) => flag.name).filter((name) => name !== ""));
  return [...recipe.filter((flag) => !overridden.has(flag.name)), ...profile];
}

export function toArgs(flags: readonly Flag[]): string[] {
  return flags.flatMap((flag) => flag.tokens);
}

/** What is wrong with the flags of one `args`, whatever its profile. */
export function checkFlags(engine: Engine, flags: readonly Flag[]): Finding[] {
  return flags.flatMap((flag, index): Finding[] => {
    const { name, path } = flag;
    const reserved = whyReserved(engine, name);
    if (reserved !== undefined)
      return [{ path, at: "key", message: `${name} is not the recipe's to set: ${reserved}` }];
    if (isRepeatedKey(flag, flags.slice(0, index)))
      return [{ path, at: "key", message: `${name} is given twice; write args as a list if that is meant` }];
    const wrong = whyWordsAreWrong(engine, flag);
    return wrong === undefined ? [] : [{ path, message: wrong }];
  });
}

/** Two spellings of one flag as keys of a map, where a list would have been plain about it. */
function isRepeatedKey({ name, path }: Flag, before: readonly Flag[]): boolean {
  return typeof path.at(-1) === "string" && before.some((earlier) => earlier.name === name);
}

function whyWordsAreWrong(engine: Engine, { name, tokens }: Flag): string | undefined {
  if (name === "" && engine !== "openai") return "expected a flag first, such as --max-model-len";
  const smuggled = tokens.slice(1).find((token) => LOOKS_LIKE_FLAG.test(token));
  return smuggled && `"${smuggled}" would be read as another flag; write it as an entry of its own`;
}

/** The value of a flag on a command line, in any of its spellings; the last one counts. */
export function flagValue(args: readonly string[], name: string): string | undefined {
  const index = args.findLastIndex((token) => LOOKS_LIKE_FLAG.test(token) && flagName(token) === name);
  const token = args[index];
  if (token === undefined) return undefined;
  return token.includes("=") ? token.slice(token.indexOf("=") + 1) : (args[index + 1] ?? "");
}

/** How an engine spreads over GPUs: tensor parallelism if the recipe sets it, times what the other kinds multiply it by. */
export function parallelism(
  engine: Engine,
  args: readonly string[],
): { readonly tensor?: number; readonly others: number } {
  const size = (name: string) => {
    const value = flagValue(args, name);
    return value === undefined ? undefined : Number(value);
  };
  // SGLang's attention data parallelism happens inside the tensor-parallel group.
  const dataInside = engine === "sglang" && flagValue(args, "--enable-dp-attention") !== undefined;
  const data = dataInside ? 1 : (size("--data-parallel-size") ?? 1);
  const others = (size("--pipeline-parallel-size") ?? 1) * data;
  const tensor = size("--tensor-parallel-size");
  return tensor === undefined ? { others } : { tensor, others };
}

/** Whether the parallelism of a profile adds up to its GPUs; the finding's sentence when it does not. */
export function whyParallelismIsWrong(engine: Engine, args: readonly string[], gpus: number): string | undefined {
  if (engine === "openai" || engine === "llama.cpp") return undefined; // Their flags of these names may mean anything.
  const { tensor, others } = parallelism(engine, args);
  if (tensor === undefined) {
    if (others === 1 || (others > 0 && gpus % others === 0)) return undefined;
    return `pipeline and data parallelism take a multiple of ${others} GPUs, and this profile has ${gpus}`;
  }
  if (tensor * others === Math.max(1, gpus)) return undefined;
  const needed = Number.isInteger(tensor * others) ? `${tensor * others}` : "no whole number of";
  return `the parallel sizes ask for ${needed} GPUs, and this profile has ${gpus}; leave --tensor-parallel-size out and it is set to fit`;
}
