// vLLM's metrics by their exact names: what the engine counts, and the text of GET /metrics.
import { Counter, Exposition, Histogram } from "./prometheus.ts";

/** What the engine is doing right now. */
export interface EngineGauges {
  readonly running: number;
  readonly waiting: number;
  /** Share of the KV cache in use, 0 to 1. */
  readonly cacheUsage: number;
  readonly sleepLevel: number;
}

/** Facts that do not change. */
export interface EngineInfo {
  readonly modelName: string;
  readonly blockSize: number;
  readonly cacheBlocks: number;
  readonly gpuMemoryUtilization: number;
  readonly prefixCaching: boolean;
}

const TTFT_BOUNDS = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
];
const TOKEN_BOUNDS = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80];
const REQUEST_BOUNDS = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680];
const ITERATION_BOUNDS = [1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384];

/** The engine adds to these as it works. Times are in seconds, caches in tokens. */
export class EngineMetrics {
  readonly promptTokens = new Counter();
  readonly generationTokens = new Counter();
  readonly cacheQueries = new Counter();
  readonly cacheHits = new Counter();
  readonly preemptions = new Counter();
  readonly finished = new Counter(["stop", "length", "abort"]);
  readonly timeToFirstToken = new Histogram(TTFT_BOUNDS);
  readonly interTokenLatency = new Histogram(TOKEN_BOUNDS);
  readonly requestLatency = new Histogram(REQUEST_BOUNDS);
  readonly queueTime = new Histogram(REQUEST_BOUNDS);
  readonly prefillTime = new Histogram(REQUEST_BOUNDS);
  readonly decodeTime = new Histogram(REQUEST_BOUNDS);
  readonly iterationTokens = new Histogram(ITERATION_BOUNDS);
}

/** The body of GET /metrics. */
export function renderMetrics(metrics: EngineMetrics, gauges: EngineGauges, info: EngineInfo): string {
  const out = new Exposition({ engine: "0", model_name: info.modelName });
  writeGauges(out, gauges, info);
  out.counter("vllm:prefix_cache_queries_total", "Prefix cache queries, in tokens queried.", metrics.cacheQueries);
  out.counter("vllm:prefix_cache_hits_total", "Prefix cache hits, in tokens cached.", metrics.cacheHits);
  out.counter("vllm:prompt_tokens_total", "Prefill tokens processed.", metrics.promptTokens);
  out.counter("vllm:generation_tokens_total", "Generation tokens processed.", metrics.generationTokens);
  out.counter("vllm:num_preemptions_total", "Preemptions by the engine.", metrics.preemptions);
  out.counter("vllm:request_success_total", "Finished requests, by reason.", metrics.finished, "finished_reason");
  for (const [name, help, histogram] of histogramsOf(metrics)) out.histogram(name, help, histogram);
  return out.toString();
}

function writeGauges(out: Exposition, gauges: EngineGauges, info: EngineInfo): void {
  out.gauge("vllm:num_requests_running", "Requests in model execution batches.", gauges.running);
  out.gauge("vllm:num_requests_waiting", "Requests waiting to be processed.", gauges.waiting);
  out.states("vllm:num_requests_waiting_by_reason", "Requests waiting, by reason.", "reason", {
    capacity: gauges.waiting,
    deferred: 0,
  });
  out.gauge("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", gauges.cacheUsage);
  out.gauge("vllm:cache_config_info", "Information of the LLMEngine CacheConfig", 1, {
    block_size: String(info.blockSize),
    num_gpu_blocks: String(info.cacheBlocks),
    gpu_memory_utilization: String(info.gpuMemoryUtilization),
    enable_prefix_caching: info.prefixCaching ? "True" : "False",
  });
  out.states("vllm:engine_sleep_state", "Engine sleep state.", "sleep_state", {
    awake: gauges.sleepLevel === 0 ? 1 : 0,
    weights_offloaded: gauges.sleepLevel === 1 ? 1 : 0,
    discard_all: gauges.sleepLevel === 2 ? 1 : 0,
  });
}

function histogramsOf(metrics: EngineMetrics): readonly (readonly [string, string, Histogram])[] {
  return [
    ["vllm:time_to_first_token_seconds", "Time to first token in seconds.", metrics.timeToFirstToken],
    ["vllm:inter_token_latency_seconds", "Inter-token latency in seconds.", metrics.interTokenLatency],
    ["vllm:e2e_request_latency_seconds", "End to end request latency in seconds.", metrics.requestLatency],
    ["vllm:request_queue_time_seconds", "Time spent in WAITING phase.", metrics.queueTime],
    ["vllm:request_prefill_time_seconds", "Time spent in PREFILL phase.", metrics.prefillTime],
    ["vllm:request_decode_time_seconds", "Time spent in DECODE phase.", metrics.decodeTime],
    ["vllm:iteration_tokens_total", "Tokens per engine step.", metrics.iterationTokens],
  ];
}
