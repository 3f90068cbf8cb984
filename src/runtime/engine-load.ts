// What an engine's /metrics say about its work: how many requests it has, a count that rises with every token, and how much its
// cache holds. By exact names, summed over the engines of one server; what is not there is unknown, never 0.

export interface EngineLoad {
  /** Requests that it works on or keeps in its queue. */
  readonly requests: number;
  /** Tokens processed since it began, of prompts and answers. */
  readonly tokens: number;
  /** Tokens of prompts that it can keep for others with the same beginning; absent where it does not tell. */
  readonly cacheTokens?: number;
}

/** The first that is there counts; several names of one entry are added up. */
const TOKENS: readonly (readonly string[])[] = [
  ["vllm:iteration_tokens_total_sum"],
  ["vllm:prompt_tokens_total", "vllm:generation_tokens_total"],
  ["sglang:prompt_tokens_total", "sglang:generation_tokens_total"],
];
/** Steps rise where tokens do not: an engine whose step has ended is alive. */
const STEPS: readonly (readonly string[])[] = [["vllm:iteration_tokens_total_count"]];
const RUNNING: readonly (readonly string[])[] = [["vllm:num_requests_running"], ["sglang:num_running_reqs"]];
const WAITING: readonly (readonly string[])[] = [["vllm:num_requests_waiting"], ["sglang:num_queue_reqs"]];

/** Its labels are what it says; the value is 1. */
const CACHE = /^vllm:cache_config_info\{(.*)\}\s/gm;

/** `name{labels} value`; labels may hold any character in quotes. */
const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})?\s+(\S+)/;

/** Undefined for an engine that does not tell. */
export function parseEngineLoad(text: string): EngineLoad | undefined {
  const sums = sumsOf(text);
  const running = firstOf(sums, RUNNING);
  const tokens = firstOf(sums, TOKENS);
  const steps = firstOf(sums, STEPS);
  if (running === undefined || (tokens === undefined && steps === undefined)) return undefined;
  const cacheTokens = cacheTokensOf(text);
  return {
    requests: running + (firstOf(sums, WAITING) ?? 0),
    tokens: (tokens ?? 0) + (steps ?? 0),
    ...(cacheTokens === undefined ? {} : { cacheTokens }),
  };
}

/** Nothing is shared by an engine whose prefix cache is off. */
function cacheTokensOf(text: string): number | undefined {
  let total: number | undefined;
  for (const [, labels = ""] of text.matchAll(CACHE)) {
    const tokens = labelOf(labels, "block_size") * labelOf(labels, "num_gpu_blocks");
    const isShared = !/(?:^|,)enable_prefix_caching="False"/.test(labels);
    if (Number.isSafeInteger(tokens)) total = (total ?? 0) + (isShared ? tokens : 0);
  }
  return total;
}

/** NaN where it is not there, or no number. */
function labelOf(labels: string, name: string): number {
  return Number(new RegExp(`(?:^|,)${name}="(\\d+)"`).exec(labels)?.[1] ?? NaN);
}

function sumsOf(text: string): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const line of text.split("\n")) {
    const sample = SAMPLE.exec(line);
    const name = sample?.[1];
    const value = Number(sample?.[2]);
    if (name === undefined || !Number.isFinite(value)) continue;
    sums.set(name, (sums.get(name) ?? 0) + value);
  }
  return sums;
}

function firstOf(sums: ReadonlyMap<string, number>, alternatives: readonly (readonly string[])[]): number | undefined {
  const names = alternatives.find((all) => all.every((name) => sums.has(name)));
  return names?.reduce((sum, name) => sum + (sums.get(name) ?? 0), 0);
}
