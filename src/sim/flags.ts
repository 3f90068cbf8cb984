// The flags of `vllm serve` that mean something to the simulated engine, and those it accepts without effect.
import { argumentError, type FlagKind, parseArgv, type ParsedArgv, type Syntax } from "./argv.ts";
import { AimError } from "../errors.ts";
import { KNOB_FLAGS, readKnobs, type Knobs } from "./knobs.ts";

type Env = Readonly<Record<string, string | undefined>>;

export interface ServeOptions {
  readonly model: string;
  /** What clients may call it; the first is the one it calls itself. */
  readonly names: readonly string[];
  /** undefined: all interfaces. */
  readonly host: string | undefined;
  readonly port: number;
  readonly apiKeys: readonly string[];
  readonly tensorParallelSize: number;
  /** undefined: what the model and its KV cache allow. */
  readonly maxModelLength: number | undefined;
  readonly maxSequences: number;
  readonly maxBatchedTokens: number;
  readonly blockSize: number;
  readonly gpuMemoryUtilization: number;
  readonly prefixCaching: boolean;
  readonly sleepMode: boolean;
  readonly promptTokensDetails: boolean;
  readonly forceIncludeUsage: boolean;
  readonly requestIdHeaders: boolean;
  readonly enforceEager: boolean;
  readonly logRequests: boolean;
  readonly accessLog: boolean;
  /** VLLM_SERVER_DEV_MODE: opens the routes that nobody else may reach. */
  readonly devMode: boolean;
  readonly keepAliveSeconds: number;
  /** Unknown flags, as given. */
  readonly ignored: readonly string[];
  readonly knobs: Knobs;
}

const KINDS: Readonly<Record<string, FlagKind>> = {
  host: "value",
  port: "value",
  model: "value",
  "served-model-name": "list",
  "api-key": "list",
  "tensor-parallel-size": "value",
  "max-model-len": "value",
  "max-num-seqs": "value",
  "max-num-batched-tokens": "value",
  "block-size": "value",
  "gpu-memory-utilization": "value",
  dtype: "value",
  "enable-prefix-caching": "switch",
  "enable-sleep-mode": "switch",
  "enable-prompt-tokens-details": "switch",
  "enable-force-include-usage": "switch",
  "enable-request-id-headers": "switch",
  "enforce-eager": "switch",
  "disable-log-requests": "switch",
  "disable-uvicorn-access-log": "switch",
  // From here on without effect on a simulation.
  "disable-log-stats": "switch",
  "enable-auto-tool-choice": "switch",
  "enable-chunked-prefill": "switch",
  "enable-log-requests": "switch",
  "trust-remote-code": "switch",
  "chat-template": "value",
  "data-parallel-size": "value",
  "distributed-executor-backend": "value",
  "download-dir": "value",
  "generation-config": "value",
  "kv-cache-dtype": "value",
  "load-format": "value",
  "pipeline-parallel-size": "value",
  quantization: "value",
  "reasoning-parser": "value",
  revision: "value",
  seed: "value",
  "swap-space": "value",
  tokenizer: "value",
  "tool-call-parser": "value",
};

const SYNTAX: Syntax = {
  kinds: {
    ...KINDS,
    ...Object.fromEntries(KNOB_FLAGS.map((knob) => [knob.name, knob.switch ? "switch" : "value"])),
  },
  aliases: {
    tp: "tensor-parallel-size",
    pp: "pipeline-parallel-size",
    dp: "data-parallel-size",
    q: "quantization",
  },
};

const DTYPES = ["auto", "half", "float16", "bfloat16", "float", "float32"];

/** Options of `serve MODEL ...`. Throws `invalid_value` with argparse's words. */
export function readServeOptions(argv: readonly string[], env: Env): ServeOptions {
  const [command, ...rest] = argv;
  if (command !== "serve")
    throw new AimError("invalid_value", `argument subparser: invalid choice: '${command ?? ""}' (choose from serve)`);
  const parsed = parseArgv(rest, SYNTAX);
  const flags = new FlagReader(parsed);
  flags.choice("dtype", DTYPES);
  const knobFlag = parsed.unknown.find((flag) => flag.startsWith("--sim-"));
  if (knobFlag !== undefined)
    throw new AimError("invalid_value", `unrecognized arguments: ${knobFlag}; see --sim-help`);
  const model = modelOf(parsed);
  const names = parsed.values.get("served-model-name") ?? [model];
  const knobs = readKnobs(parsed.values, env);
  return {
    model,
    names: knobs.badModels ? ["another-model"] : names,
    host: flags.text("host"),
    port: flags.integer("port", { min: 0, max: 65_535 }) ?? 8000,
    apiKeys: [...(parsed.values.get("api-key") ?? []), env["VLLM_API_KEY"] ?? ""].filter((key) => key !== ""),
    tensorParallelSize: flags.integer("tensor-parallel-size", { min: 1 }) ?? 1,
    maxModelLength: flags.length("max-model-len"),
    maxSequences: flags.integer("max-num-seqs", { min: 1 }) ?? 256,
    maxBatchedTokens: flags.integer("max-num-batched-tokens", { min: 1 }) ?? 8192,
    blockSize: flags.integer("block-size", { min: 1 }) ?? 16,
    gpuMemoryUtilization: flags.fraction("gpu-memory-utilization") ?? 0.92,
    prefixCaching: flags.enabled("enable-prefix-caching") ?? true,
    sleepMode: flags.enabled("enable-sleep-mode") ?? false,
    promptTokensDetails: flags.enabled("enable-prompt-tokens-details") ?? false,
    forceIncludeUsage: flags.enabled("enable-force-include-usage") ?? false,
    requestIdHeaders: flags.enabled("enable-request-id-headers") ?? false,
    enforceEager: flags.enabled("enforce-eager") ?? false,
    logRequests: !(flags.enabled("disable-log-requests") ?? false),
    accessLog:
      !(flags.enabled("disable-log-requests") ?? false) && !(flags.enabled("disable-uvicorn-access-log") ?? false),
    devMode: env["VLLM_SERVER_DEV_MODE"] === "1",
    keepAliveSeconds: keepAliveSeconds(env),
    ignored: parsed.unknown,
    knobs,
  };
}

function modelOf({ positionals, values }: ParsedArgv): string {
  const [model = values.get("model")?.[0], extra] = positionals;
  if (extra !== undefined) throw new AimError("invalid_value", `unrecognized arguments: ${extra}`);
  if (model === undefined || model === "")
    throw new AimError("invalid_value", "the following arguments are required: model_tag");
  return model;
}

function keepAliveSeconds(env: Env): number {
  const text = env["VLLM_HTTP_TIMEOUT_KEEP_ALIVE"] ?? "5";
  if (!/^\d+$/.test(text))
    throw new AimError("invalid_value", `variable VLLM_HTTP_TIMEOUT_KEEP_ALIVE: invalid literal for int(): '${text}'`);
  return Number(text);
}

/** Typed access to parsed flags, complaining as argparse does. */
class FlagReader {
  readonly #values: ReadonlyMap<string, readonly string[]>;

  constructor(parsed: ParsedArgv) {
    this.#values = parsed.values;
  }

  text(name: string): string | undefined {
    return this.#values.get(name)?.[0];
  }

  enabled(name: string): boolean | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : text !== "false";
  }

  integer(name: string, { min, max = Infinity }: { readonly min: number; readonly max?: number }): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    if (!/^[+-]?\d+$/.test(text)) throw argumentError(name, `invalid int value: '${text}'`);
    const value = Number(text);
    if (value < min || value > max)
      throw argumentError(name, `must be ${min}${max === Infinity ? " or more" : `-${max}`}: '${text}'`);
    return value;
  }

  /** "8192", and vLLM's "8k" (thousands) and "8K" (times 1024); "auto" and "-1" are the same as nothing. */
  length(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined || text === "auto" || text === "-1") return undefined;
    const match = /^(\d+(?:\.\d+)?)([kKmM]?)$/.exec(text);
    const unit = { "": 1, k: 1000, K: 1024, m: 1_000_000, M: 1_048_576 }[match?.[2] ?? ""] ?? 1;
    const value = Number(match?.[1]) * unit;
    if (!Number.isInteger(value) || value < 1)
      throw argumentError(name, `invalid human_readable_int_or_auto value: '${text}'`);
    return value;
  }

  fraction(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    if (!/^\d*\.?\d+$/.test(text)) throw argumentError(name, `invalid float value: '${text}'`);
    const value = Number(text);
    if (value <= 0 || value > 1) throw argumentError(name, `must be in (0, 1]: '${text}'`);
    return value;
  }

  choice(name: string, choices: readonly string[]): void {
    const text = this.text(name);
    if (text === undefined || choices.includes(text)) return;
    throw argumentError(name, `invalid choice: '${text}' (choose from ${choices.join(", ")})`);
  }
}
