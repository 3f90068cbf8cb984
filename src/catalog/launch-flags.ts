// Engine flags that may come with a launch: who may launch may tune an engine, not take it over or make it read files.
import { RECIPE_FLAG_NAMES, RECIPE_FLAGS, WHOLE_FLAGS } from "./launch-flag-rules.ts";
import type { Engine } from "./recipe.ts";

/** Engines that read their command line as Python's argparse does: "--x=y", "--a_b" for "--a-b", and beginnings of flags. */
const PYTHON_ENGINES: ReadonlySet<Engine> = new Set(["vllm", "sglang", "sim"]);

const LONG_FLAG = /^--[A-Za-z][\w-]*(?:\.[\w.-]+)?\+?(?:=.*)?$/;
const SHORT_FLAG = /^-[A-Za-z][\w-]*$/;
const NUMBER = /^-(?:\d+|\d*\.\d+)$/;
/** vLLM's level of optimisation, the one short flag that is plain about what it does. */
const LEVEL = /^-O[0-3]$/;
// oxlint-disable-next-line no-control-regex -- finding them is the point
const CONTROL_CHARACTER = /[\u0000-\u001f\u007f]/;

/** Why these flags cannot come with a launch, in words for people; undefined when they can. */
export function checkLaunchFlags(engine: Engine, flags: readonly string[]): string | undefined {
  const [first] = flags;
  if (first === undefined) return undefined;
  if (engine === "openai") return 'the engine "openai" is any program, whose flags only its recipe can give';
  if (!first.startsWith("-")) return `"${first}" is no flag; begin with one, such as --max-model-len`;
  for (const token of flags) {
    const why = whyNot(engine, token);
    if (why !== undefined) return why;
  }
  return undefined;
}

function whyNot(engine: Engine, token: string): string | undefined {
  if (CONTROL_CHARACTER.test(token)) return "flags cannot hold line breaks and control characters";
  if (!token.startsWith("-") || NUMBER.test(token)) return undefined;
  const isLong = LONG_FLAG.test(token);
  if (!isLong && !SHORT_FLAG.test(token))
    return `"${token}" is no flag; a value that begins so is written --flag=VALUE`;
  const name = plainName(token);
  if (!PYTHON_ENGINES.has(engine)) return whyNotFlag(engine, name);
  if (isLong) return whyNotFlag(engine, name) ?? whyNotBeginning(engine, name);
  return LEVEL.test(token) ? undefined : `${token} is short for another flag; give that one by its whole name`;
}

/** "--max_model_len=8192" → "--max-model-len"; "--hf-overrides.key" is a part of "--hf-overrides". */
function plainName(token: string): string {
  const name = token.split(/[=.+]/, 1)[0] ?? token;
  return name.startsWith("--") ? name.replaceAll("_", "-") : name;
}

function whyNotFlag(engine: Engine, name: string): string | undefined {
  const rules = RECIPE_FLAGS[engine];
  const why = Object.hasOwn(rules, name) ? rules[name] : RECIPE_FLAG_NAMES.find(({ like }) => like.test(name))?.why;
  return why && `${name} cannot come with a launch: ${why}`;
}

/** A beginning that fits one flag alone is enough for argparse: "--trust" may well be "--trust-remote-code". */
function whyNotBeginning(engine: Engine, name: string): string | undefined {
  if (WHOLE_FLAGS.has(name)) return undefined;
  const rules = RECIPE_FLAGS[engine];
  const whole = Object.keys(rules).find((flag) => flag.startsWith(name));
  return whole && `${name} may be short for ${whole}, which cannot come with a launch: ${rules[whole]}`;
}
