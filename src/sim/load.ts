// The log of a load, spread over its time: the lines by which others tell how far an engine has come.
import { type Clock, sleep } from "../lib/clock.ts";
import { cacheTokensOf, maxModelLengthOf, VERSION } from "./core.ts";
import type { ServeOptions } from "./flags.ts";
import { type Log, prefixOf, type Speaker } from "./log.ts";

/** Something that happens at a share (0 to 1) of the load time. */
interface Step {
  readonly at: number;
  say(log: Log): void;
}

/** How a load that fails ends. */
export interface LoadFailure {
  readonly exitCode: number;
}

const SHARDS = 4;
/** The weights take that share of the time, from 5 % on. */
const WEIGHTS_SHARE = 0.5;
const GRAPH_SIZES = 20;
/** A pending timer, unlike none, keeps the process alive. */
const FOREVER_SECONDS = 1e12;

/** Plays the load; resolves with the failure that ends it, and rejects when the signal aborts. */
export async function load(
  options: ServeOptions,
  log: Log,
  clock: Clock,
  signal: AbortSignal,
): Promise<LoadFailure | undefined> {
  const startedAt = clock.now();
  const { loadSeconds, crashBeforeReady, neverReady } = options.knobs;
  const reach = async (seconds: number) => {
    const wait = startedAt + seconds * 1000 - clock.now();
    // Not for a wait of nothing: each timer takes a millisecond, and a load of no seconds has fifty steps.
    if (wait > 0) await sleep(clock, wait, signal);
  };
  const mayLast = crashBeforeReady ?? FOREVER_SECONDS;
  for (const step of stepsOf(options)) {
    if (step.at * loadSeconds >= mayLast) break;
    await reach(step.at * loadSeconds);
    step.say(log);
  }
  const failure = startupFailure(options);
  if (failure !== undefined && mayLast > loadSeconds) return fail(log, failure, 1);
  // A crash that is due later than the load comes before ready all the same.
  const succeeds = crashBeforeReady === undefined && !neverReady;
  await reach(succeeds ? loadSeconds : mayLast);
  return succeeds ? undefined : crash(options, log);
}

function crash({ knobs }: ServeOptions, log: Log): LoadFailure {
  return fail(log, "RuntimeError: the simulated engine was told to crash", knobs.exitCode);
}

function fail(log: Log, reason: string, exitCode: number): LoadFailure {
  log.error("EngineCore", "EngineCore failed to start.");
  log.error("EngineCore", "Traceback (most recent call last):");
  log.error("EngineCore", reason);
  log.error(
    "APIServer",
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}",
  );
  return { exitCode };
}

/** What an engine finds out once the weights are there. */
function startupFailure(options: ServeOptions): string | undefined {
  if (options.knobs.oom)
    return "torch.OutOfMemoryError: HIP out of memory. Tried to allocate 1.50 GiB. GPU 0 has a total capacity of 191.98 GiB of which 0 bytes is free.";
  const [wanted, room] = [maxModelLengthOf(options), cacheTokensOf(options)];
  if (wanted <= room) return undefined;
  return `ValueError: To serve at least one request with the models's max seq len (${wanted}), more KV cache is needed than the available ${room} tokens. Try increasing \`gpu_memory_utilization\` or decreasing \`max_model_len\` when initializing the engine.`;
}

function stepsOf(options: ServeOptions): readonly Step[] {
  const { neverReady, oom } = options.knobs;
  const beginning = [...openingSteps(options), ...weightSteps(options)];
  // The half of the weights, for the one that never gets any further.
  if (neverReady) return beginning.filter((step) => step.at <= 0.05 + WEIGHTS_SHARE / 2);
  const memoryFails = oom || startupFailure(options) !== undefined;
  return [...beginning, ...(memoryFails ? [] : warmUpSteps(options))];
}

function info(at: number, speaker: Speaker, message: string): Step {
  return { at, say: (log) => log.info(speaker, message) };
}

function openingSteps(options: ServeOptions): readonly Step[] {
  const { model, ignored } = options;
  return [
    info(0, "APIServer", "This is the simulated engine of AIM Engine: it loads no model and needs no GPU."),
    info(0, "APIServer", `vLLM API server version ${VERSION}`),
    ...ignored.map((flag) => ({
      at: 0,
      say: (log: Log) => log.warn(`The simulated engine has no use for ${flag}`),
    })),
    info(0.02, "EngineCore", `Initializing a V1 LLM engine (v${VERSION}) with config: model='${model}'`),
    info(0.04, "EngineCore", `Starting to load model ${model}...`),
  ];
}

function weightSteps({ knobs, tensorParallelSize }: ServeOptions): readonly Step[] {
  const seconds = knobs.loadSeconds * WEIGHTS_SHARE;
  const shards = Array.from({ length: SHARDS + 1 }, (_, done) => ({
    at: 0.05 + (WEIGHTS_SHARE * done) / SHARDS,
    say: (log: Log) => log.raw(`${prefixOf("EngineCore")} ${shardLine(done, seconds)}\n`),
  }));
  const done = Array.from({ length: tensorParallelSize }, (_, rank) =>
    info(
      0.06 + WEIGHTS_SHARE,
      tensorParallelSize === 1 ? "EngineCore" : `Worker_TP${rank}`,
      `Model loading took 13.72 GiB memory and ${seconds.toFixed(6)} seconds`,
    ),
  );
  return [...shards, ...done];
}

function shardLine(done: number, seconds: number): string {
  const perShard = seconds / SHARDS;
  const percent = String(Math.round((100 * done) / SHARDS)).padStart(3);
  const times = `${minutes(done * perShard)}<${minutes((SHARDS - done) * perShard)}`;
  return `Loading safetensors checkpoint shards: ${percent}% Completed | ${done}/${SHARDS} [${times},  ${perShard.toFixed(2)}s/it]`;
}

function minutes(seconds: number): string {
  const whole = Math.round(seconds);
  return `${String(Math.floor(whole / 60)).padStart(2, "0")}:${String(whole % 60).padStart(2, "0")}`;
}

function warmUpSteps(options: ServeOptions): readonly Step[] {
  const { knobs, enforceEager } = options;
  const [wanted, room] = [maxModelLengthOf(options), cacheTokensOf(options)];
  const seconds = (share: number) => (knobs.loadSeconds * share).toFixed(2);
  const concurrency = (room / wanted).toFixed(2);
  return [
    ...(enforceEager ? [] : compileSteps(seconds(0.15))),
    info(0.76, "EngineCore", "Available KV cache memory: 36.56 GiB"),
    info(0.77, "EngineCore", `GPU KV cache size: ${grouped(room)} tokens`),
    info(0.78, "EngineCore", `Maximum concurrency for ${grouped(wanted)} tokens per request: ${concurrency}x`),
    ...(enforceEager ? [] : graphSteps(seconds(0.15))),
    info(0.97, "EngineCore", `init engine (profile, create kv cache, warmup model) took ${seconds(0.4)} seconds`),
  ];
}

function compileSteps(seconds: string): readonly Step[] {
  const directory = "/root/.cache/vllm/torch_compile_cache/5e9f6c0a11/rank_0_0";
  return [
    info(0.6, "EngineCore", `Using cache directory: ${directory} for vLLM's torch.compile`),
    info(0.75, "EngineCore", `torch.compile takes ${seconds} s in total`),
  ];
}

function graphSteps(seconds: string): readonly Step[] {
  const bars = Array.from({ length: GRAPH_SIZES + 1 }, (_, done) => ({
    at: 0.8 + (0.15 * done) / GRAPH_SIZES,
    say: (log: Log) =>
      log.raw(`${done === 0 ? "" : "\r"}Capturing CUDA graphs (mixed prefill-decode, PIECEWISE): ${graphBar(done)}`),
  }));
  return [
    ...bars,
    { at: 0.95, say: (log) => log.raw("\n") },
    info(0.96, "EngineCore", `Graph capturing finished in ${seconds} secs, took 0.58 GiB`),
  ];
}

function graphBar(done: number): string {
  const percent = String(Math.round((100 * done) / GRAPH_SIZES)).padStart(3);
  const filled = "█".repeat(Math.round((10 * done) / GRAPH_SIZES)).padEnd(10);
  return `${percent}%|${filled}| ${done}/${GRAPH_SIZES}`;
}

function grouped(value: number): string {
  return value.toLocaleString("en-US");
}
