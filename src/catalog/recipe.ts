// A recipe says how to serve one model on some hardware at some precision. This file holds its normalised form.

export type ModelId = string;
export type RecipeId = string;

export const ENGINES = ["vllm", "sglang", "llama.cpp", "sim", "openai"] as const;
export type Engine = (typeof ENGINES)[number];

export const PRECISIONS = ["fp16", "bf16", "fp8", "int8", "int4"] as const;
export type Precision = (typeof PRECISIONS)[number];

/** Those there is a driver for. */
export const RUNTIMES = ["docker", "process"] as const;
/** `kubernetes` is what the drivers' contract leaves room for: a runtime that places replicas itself. */
export type RuntimeName = (typeof RUNTIMES)[number] | "kubernetes";

/** When the image is fetched: if it is not there, before each start, or never. */
export const PULL_POLICIES = ["missing", "always", "never"] as const;
export type PullPolicy = (typeof PULL_POLICIES)[number];

/** Which of a model's replicas a request goes to; the first is what is done unless something else is asked for. */
export const BALANCES = ["predicted-ttft", "least-in-flight", "session", "round-robin"] as const;
export type BalanceName = (typeof BALANCES)[number];

/** A folder of the host, or a volume by its name, that the container sees. */
export interface Mount {
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
}

/** How to serve one model on some hardware at some precision, whichever file format it came from. */
export interface Recipe {
  readonly id: RecipeId;
  /** The file it was read from, for messages. */
  readonly file: string;
  /** Hash of everything that shapes a replica; a running replica with another hash is stale. */
  readonly hash: string;
  /** The Hugging Face id, which is the name clients send. */
  readonly model: ModelId;
  readonly aliases: readonly string[];
  readonly engine: Engine;
  /** Absent: the default of config.yaml. */
  readonly runtime?: RuntimeName;
  readonly image?: string;
  /** Program and first arguments instead of the engine's usual ones. */
  readonly command?: readonly string[];
  /** GPUs it may run on, by product ("MI300X"), partition ("MI300X CPX") or architecture ("gfx942"); empty: any whole card. */
  readonly hardware: readonly string[];
  /** Least memory of each GPU in bytes; absent: whatever the hardware has. */
  readonly gpuMemoryBytes?: number;
  readonly precision?: Precision;
  /** Sorted by GPU count; at least one; exactly one is the default. */
  readonly profiles: readonly Profile[];
  /** Idle time before unload; Infinity: never. Absent: the default of config.yaml. */
  readonly keepAliveMs?: number;
  /** `target`: requests per replica, waiting ones included, at which one more is worth having; absent: of `maxInFlight`, or 16. */
  readonly replicas: { readonly min: number; readonly max: number; readonly target?: number };
  /** Started when the gateway starts. */
  readonly preload?: true;
  /** Neither evicted nor unloaded for being idle. */
  readonly pinned?: true;
  /** What an idle replica does before it is unloaded; absent: nothing. */
  readonly sleep?: SleepStep;
  readonly resources: {
    readonly memoryBytes?: number;
    readonly memorySwapBytes?: number;
    readonly shmBytes?: number;
    readonly cpus?: number;
  };
  readonly pull?: PullPolicy;
  readonly mounts: readonly Mount[];
  readonly capabilities: readonly string[];
  readonly network: "own" | "host";
  readonly startTimeoutMs?: number;
  /** Most requests in flight on one replica; absent: as many as come. */
  readonly maxInFlight?: number;
  /** Which of its replicas a request goes to; absent: the default of config.yaml. */
  readonly balance?: BalanceName;
  /** Limits of one request; those that are absent are those of config.yaml. */
  readonly timeouts?: Partial<Timeouts>;
  /** What was read otherwise than it is written, in words for people. */
  readonly notes?: readonly string[];
}

/** One block of a recipe: the settings for one GPU count. */
export interface Profile {
  /** "4_gpu" */
  readonly id: string;
  readonly gpus: number;
  /** Engine arguments, those of the recipe included. */
  readonly args: readonly string[];
  /** Environment, that of the recipe included. */
  readonly env: Readonly<Record<string, string>>;
  readonly isDefault: boolean;
  /** Share of each of its GPUs, more than 0 and less than 1, the rest of which others may use; absent: the whole of them. */
  readonly gpuFraction?: number;
}

/** How long what may take in the life of one request; Infinity: as long as it likes. */
export interface Timeouts {
  readonly connectTimeoutMs: number;
  /** From the request to the first byte of the answer's body; a whole generation where it is not streamed. */
  readonly firstByteTimeoutMs: number;
  /** Longest silence within an answer, of the backend or of a client that does not read. */
  readonly idleTimeoutMs: number;
  /** From the request to the last byte of the answer; waiting for a replica does not count. */
  readonly totalTimeoutMs: number;
}

/** Level 1 keeps the weights in the host's memory, level 2 drops them. */
export interface SleepStep {
  /** Idle time before it. */
  readonly afterMs: number;
  readonly level: 1 | 2;
  /** What one sleeper takes of the host's memory at level 1; absent: as much as it had of the memory of its GPUs. */
  readonly hostMemoryBytes?: number;
}

/** The context length that the recipe gives its engine; undefined where the model's own decides. */
export function maxModelLenOf({ profiles }: Recipe): number | undefined {
  const args = profiles.find((profile) => profile.isDefault)?.args ?? [];
  const value = Number(args[args.indexOf("--max-model-len") + 1]);
  return args.includes("--max-model-len") && Number.isSafeInteger(value) ? value : undefined;
}
