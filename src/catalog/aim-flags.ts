// Flags that files of the existing AIM format carry and their engine would refuse, under the names it knows.
import { flagName, type Flag } from "./flags.ts";
import type { Engine } from "./recipe.ts";

const RIGHT_NAMES: Readonly<Partial<Record<Engine, Readonly<Record<string, string>>>>> = {
  vllm: {
    "--max-context-len": "--max-model-len",
    "--max-batch-size": "--max-num-seqs",
  },
  sglang: {
    "--max-context-len": "--context-length",
    "--max-model-len": "--context-length",
    "--max-batch-size": "--max-running-requests",
    "--max-num-seqs": "--max-running-requests",
    "--max-num-batched-tokens": "--chunked-prefill-size",
    "--gpu-memory-utilization": "--mem-fraction-static",
  },
};

/** The flag as its engine knows it, with a note when that differs from the file. */
export function translate(engine: Engine, flag: Flag): { readonly kept: readonly Flag[]; readonly note?: string } {
  if (flag.name === "--dtype" && flag.tokens[1]?.startsWith("float8") === true)
    return {
      kept: [],
      note: `--dtype ${flag.tokens[1]} is left out: no engine knows it, and the checkpoint says its own`,
    };
  const names = RIGHT_NAMES[engine] ?? {};
  const name = Object.hasOwn(names, flag.name) ? names[flag.name] : undefined;
  if (name === undefined) return { kept: [flag] };
  const tokens = flag.tokens.length === 0 ? [] : [name, ...flag.tokens.slice(1)];
  return {
    kept: [{ ...flag, name: flagName(name), tokens }],
    note: `${flag.name} is passed as ${name}, its name in ${engine}`,
  };
}
