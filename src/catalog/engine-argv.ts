// The command line of each engine.
import { flagValue, parallelism } from "./flags.ts";
import { memoryArgs } from "./memory-flags.ts";
import type { Engine, Precision, Profile, Recipe, RuntimeName } from "./recipe.ts";

/** Placeholders in `argv` and `env` values; the driver fills them in, since only it knows where the replica will listen. */
export const HOST_PLACEHOLDER = "{host}";
export const PORT_PLACEHOLDER = "{port}";
/** Filled in here, with the recipe's model. */
export const MODEL_PLACEHOLDER = "{model}";

export interface ArgvInput {
  readonly recipe: Recipe;
  readonly profile: Profile;
  readonly runtime: RuntimeName;
  /** argv prefix that runs this very program. */
  readonly self: readonly string[];
}

/** The program, the arguments that are ours to set, then those of the profile. */
export function engineArgv(input: ArgvInput): string[] {
  const { recipe, profile } = input;
  const fill = (token: string) => token.replaceAll(MODEL_PLACEHOLDER, recipe.model);
  const start = recipe.command?.map(fill) ?? program(input);
  return [...start, ...ownArguments(recipe, profile), ...memoryArgs(recipe, profile), ...profile.args.map(fill)];
}

function program({ recipe, runtime, self }: ArgvInput): readonly string[] {
  const { engine, model } = recipe;
  if (engine === "openai") return []; // Has a command, always: the checks of the recipe see to it.
  if (engine === "llama.cpp") return ["llama-server"];
  if (engine === "sglang") return ["python3", "-m", "sglang.launch_server", "--model-path", model];
  return engine === "sim" && runtime === "process" ? [...self, "sim", "serve", model] : ["vllm", "serve", model];
}

function ownArguments(recipe: Recipe, profile: Profile): string[] {
  const { engine, model, precision } = recipe;
  if (engine === "openai") return [];
  const listen = ["--host", HOST_PLACEHOLDER, "--port", PORT_PLACEHOLDER];
  if (engine === "llama.cpp") return [...listen, "--alias", model];
  return [
    ...listen,
    "--served-model-name",
    model,
    ...tensorParallel(engine, profile),
    ...dtype(precision, profile.args),
  ];
}

/** All GPUs of the profile, less what the other kinds of parallelism multiply by. */
function tensorParallel(engine: Engine, { gpus, args }: Profile): string[] {
  const { tensor, others } = parallelism(engine, args);
  const size = gpus / others;
  if (tensor !== undefined || size <= 1) return [];
  return [engine === "sglang" ? "--tp-size" : "--tensor-parallel-size", String(size)];
}

/** Only 16-bit precisions are a dtype; a quantised checkpoint says its own. */
function dtype(precision: Precision | undefined, args: readonly string[]): string[] {
  if (flagValue(args, "--dtype") !== undefined) return [];
  if (precision === "bf16") return ["--dtype", "bfloat16"];
  return precision === "fp16" ? ["--dtype", "float16"] : [];
}
