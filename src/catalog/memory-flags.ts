// The engine flags that follow from how a recipe shares the memory of GPUs: a share of each, and sleep.
import { readFlags, type Flag } from "./flags.ts";
import type { Engine, Profile, Recipe } from "./recipe.ts";

const UTILIZATION = "--gpu-memory-utilization";
/** vLLM heeds it instead of the utilisation. */
const CACHE_BYTES = "--kv-cache-memory-bytes";
const SLEEP = "--enable-sleep-mode";
const NO_SLEEP = "--no-enable-sleep-mode";
/** Without it vLLM has no routes to be put to sleep by. */
const DEV_MODE = "VLLM_SERVER_DEV_MODE";

type Settings = Pick<Recipe, "engine" | "sleep">;
type ProfilePart = Pick<Profile, "gpus" | "args" | "env" | "gpuFraction">;

/** Whether an engine can give its GPUs' memory back without ending. */
export function canSleep(engine: Engine): boolean {
  return engine === "vllm" || engine === "sim";
}

/**
 * Whether an engine keeps to a share of a GPU's memory when told to. SGLang's --mem-fraction-static does not say what it
 * needs beyond weights and cache, and llama.cpp takes what the model needs.
 */
function keepsToShare(engine: Engine): boolean {
  return engine === "vllm" || engine === "sim";
}

/** The flags that a profile needs beside its own. */
export function memoryArgs({ engine, sleep }: Settings, { args, gpuFraction }: ProfilePart): string[] {
  return [
    ...(gpuFraction !== undefined && keepsToShare(engine) && valueOf(args, UTILIZATION) === undefined
      ? [UTILIZATION, String(gpuFraction)]
      : []),
    ...(sleep !== undefined && canSleep(engine) && valueOf(args, SLEEP) === undefined ? [SLEEP] : []),
  ];
}

/** The environment that goes with those flags. */
export function memoryEnv({ engine, sleep }: Settings): Record<string, string> {
  return sleep !== undefined && canSleep(engine) ? { [DEV_MODE]: "1" } : {};
}

/** Why the flags of a profile, those of a launch among them, contradict its share or its sleep. */
export function whyMemoryIsWrong(settings: Settings, profile: ProfilePart): string | undefined {
  const { args, env } = profile;
  return whyShareIsWrong(settings.engine, profile) ?? whySleepIsWrong(settings, { flags: readFlags(args, []), env });
}

/** Why a profile cannot have the share of a GPU that it asks for. */
export function whyShareIsWrong(
  engine: Engine,
  { gpus, args, gpuFraction }: Omit<ProfilePart, "env">,
): string | undefined {
  if (gpuFraction === undefined) return undefined;
  if (!keepsToShare(engine))
    return `the engine "${engine}" cannot be told to keep to a share of a GPU; vllm and sim can, others have the whole of it`;
  if (gpus === 0) return "a profile without GPUs has no share of any; drop gpuFraction";
  if (valueOf(args, CACHE_BYTES) !== undefined)
    return `${CACHE_BYTES} would be heeded instead of the share of ${gpuFraction}; drop one of them`;
  const utilization = valueOf(args, UTILIZATION);
  if (utilization === undefined || Number(utilization) <= gpuFraction) return undefined;
  return `${UTILIZATION} ${utilization} is more than the share of ${gpuFraction}; lower it, or leave it out and it is set to the share`;
}

/** Why an engine with this profile could not be put to sleep as its recipe says. */
export function whySleepIsWrong(
  { sleep }: Pick<Recipe, "sleep">,
  { flags, env }: { readonly flags: readonly Flag[]; readonly env: Profile["env"] },
): string | undefined {
  if (sleep === undefined) return undefined;
  const isOff = flags.some((flag) => means(flag, NO_SLEEP) || (flag.name === SLEEP && flag.tokens.length === 0));
  if (isOff) return 'the flags switch sleep off, and "idle" has a step for it; drop one of them';
  const mode = env[DEV_MODE];
  if (mode === undefined || mode === "1") return undefined;
  return `${DEV_MODE} has to be 1 for the sleep step of "idle"; leave it out and it is set`;
}

/** Python's argparse takes the beginning of a flag for the whole. */
function means({ name }: Flag, whole: string): boolean {
  return name !== "" && whole.startsWith(name);
}

/** The value of a flag, "" for one without. */
function valueOf(args: readonly string[], whole: string): string | undefined {
  const flag = readFlags(args, []).findLast((one) => means(one, whole));
  const [token, value = ""] = flag?.tokens ?? [];
  if (token === undefined) return undefined;
  return token.includes("=") ? token.slice(token.indexOf("=") + 1) : value;
}
