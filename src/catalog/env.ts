// Environment variables that a recipe may not set, and why.
import type { RuntimeName } from "./recipe.ts";
import type { Finding } from "../lib/yaml-source.ts";

const WHICH_GPUS = "which GPUs a replica sees is decided when it is started";
const ALWAYS: Readonly<Record<string, string>> = {
  VLLM_PORT: "vLLM takes it for its own use and refuses to start on an address; the gateway sets the port",
  HIP_VISIBLE_DEVICES: WHICH_GPUS,
  CUDA_VISIBLE_DEVICES: WHICH_GPUS,
  ROCR_VISIBLE_DEVICES: WHICH_GPUS,
};

const WHAT_RUNS = "it changes what a program on this machine is or loads";
const AS_A_PROCESS: Readonly<Record<string, string>> = {
  NODE_OPTIONS: WHAT_RUNS,
  LD_PRELOAD: WHAT_RUNS,
  PATH: WHAT_RUNS,
};

/** What is wrong with an environment; an absent runtime is not known yet, and checked again when it is. */
export function checkEnv(
  env: Readonly<Record<string, unknown>>,
  runtime: RuntimeName | undefined,
  path: readonly PropertyKey[],
): Finding[] {
  return Object.keys(env).flatMap((name) => {
    const why = whyForbidden(name, runtime);
    return why === undefined
      ? []
      : [{ path: [...path, name], at: "key", message: `a recipe cannot set ${name}: ${why}` }];
  });
}

function whyForbidden(name: string, runtime: RuntimeName | undefined): string | undefined {
  if (Object.hasOwn(ALWAYS, name)) return ALWAYS[name];
  return runtime === "process" && Object.hasOwn(AS_A_PROCESS, name) ? AS_A_PROCESS[name] : undefined;
}
