// Environment variables that a recipe may not set, and why.
import type { RuntimeName } from "./recipe.ts";
import type { Finding } from "../lib/yaml-source.ts";

const WHICH_GPUS = "which GPUs a replica sees is decided when it is started";
const ALWAYS: Readonly<Record<string, string>> = {
  VLLM_PORT: "vLLM takes it for its own use and refuses to start on an address; the gateway sets the port",
  HIP_VISIBLE_DEVICES: WHICH_GPUS,
  CUDA_VISIBLE_DEVICES: WHICH_GPUS,
  ROCR_VISIBLE_DEVICES: WHICH_GPUS,
  GPU_DEVICE_ORDINAL: WHICH_GPUS,
  // These two give GPUs to a container, where Docker runs it by the vendor's own runtime.
  AMD_VISIBLE_DEVICES: WHICH_GPUS,
  NVIDIA_VISIBLE_DEVICES: WHICH_GPUS,
};

const WHAT_RUNS = "it changes what a program on this machine is, loads or writes";
const AS_A_PROCESS =
  /^(PATH|LD_.*|DYLD_.*|GCONV_PATH|NODE_.*|OPENSSL_.*|PYTHONPATH|PYTHONHOME|PYTHONSTARTUP|BASH_ENV|ENV)$/;

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
  return runtime === "process" && AS_A_PROCESS.test(name) ? WHAT_RUNS : undefined;
}
