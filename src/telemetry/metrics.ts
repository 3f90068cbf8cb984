// Prometheus metrics, each declared once. Label values are bounded: only known models, codes and states.
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";
import { CounterFamily, HistogramFamily } from "./families.ts";

const SECONDS_SHORT = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
const SECONDS_LONG = [0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600];

export type Metrics = ReturnType<typeof createMetrics>;

/** Process metrics are collected only where asked for, since they start observers of their own. */
export function createMetrics(options: { readonly processMetrics?: boolean; readonly version?: string } = {}) {
  const registry = new Registry();
  const registers = [registry];
  if (options.processMetrics) collectDefaultMetrics({ register: registry });
  const build = new Gauge({
    name: "aim_build_info",
    help: "Always 1; the version is a label.",
    labelNames: ["version"],
    registers,
  });
  build.set({ version: options.version ?? "unknown" }, 1);
  return {
    registry,
    ...requestMetrics(registers),
    ...schedulerMetrics(registers),
    ...routingMetrics(registers),
    ...replicaMetrics(registers),
    ...gpuMetrics(registers),
  };
}

/** Of requests, as the data plane sees them: families where every request counts. */
function requestMetrics(registers: Registry[]) {
  return {
    requests: new CounterFamily({
      name: "aim_http_requests_total",
      help: "Inference requests by route, model and the HTTP status they ended with.",
      labelNames: ["route", "model", "code"],
      registers,
    }),
    requestSeconds: new HistogramFamily({
      name: "aim_request_duration_seconds",
      help: "Time from the request to the last byte of its answer.",
      labelNames: ["route", "model"],
      buckets: SECONDS_SHORT,
      registers,
    }),
    firstByteSeconds: new HistogramFamily({
      name: "aim_time_to_first_byte_seconds",
      help: "Time from the request to the first byte of the backend's answer; waiting comments do not count.",
      labelNames: ["model", "start"],
      buckets: SECONDS_SHORT,
      registers,
    }),
    queueSeconds: new HistogramFamily({
      name: "aim_queue_wait_seconds",
      help: "Time a request waited for a replica, by whether that had to be started for it, and by priority.",
      labelNames: ["model", "start", "priority"],
      buckets: SECONDS_LONG,
      registers,
    }),
    rejections: new Counter({
      name: "aim_rejections_total",
      help: "Requests the gateway itself refused, by error code.",
      labelNames: ["reason"],
      registers,
    }),
    streamAborts: new Counter({
      name: "aim_stream_aborts_total",
      help: "Requests that did not end by themselves, by who left and when.",
      labelNames: ["side", "phase"],
      registers,
    }),
    retries: new Counter({
      name: "aim_retries_total",
      help: "Requests tried again on another replica before any byte was sent.",
      labelNames: ["model"],
      registers,
    }),
  };
}

/** Of where prompts went; set when somebody looks. */
function routingMetrics(registers: Registry[]) {
  return {
    routedTokens: new Counter({
      name: "aim_routing_prompt_tokens_total",
      help: "Tokens of the prompts that were given to replicas, by their bytes.",
      labelNames: ["model"],
      registers,
    }),
    routedCachedTokens: new Counter({
      name: "aim_routing_cached_tokens_total",
      help: "Of these tokens, those that the chosen replica should have had in its prefix cache.",
      labelNames: ["model"],
      registers,
    }),
  };
}

/** Of replicas; the gauges are set when somebody looks. */
function replicaMetrics(registers: Registry[]) {
  return {
    startSeconds: new Histogram({
      name: "aim_cold_start_seconds",
      help: "Time from the decision to start a replica until it is ready.",
      labelNames: ["model"],
      buckets: SECONDS_LONG,
      registers,
    }),
    starts: new Counter({
      name: "aim_replica_starts_total",
      help: "Starts of replicas by how they ended: ready, or the cause of the failure.",
      labelNames: ["model", "outcome"],
      registers,
    }),
    ejections: new Counter({
      name: "aim_replica_ejections_total",
      help: "Replicas that were left out of the choice for a while because their requests failed.",
      labelNames: ["model"],
      registers,
    }),
    reaps: new Counter({
      name: "aim_reaps_total",
      help: "Replicas taken down, by reason: idle, evicted, unwanted, scaled in, stopped, stale, shutdown, failed.",
      labelNames: ["model", "reason"],
      registers,
    }),
    replicas: new Gauge({
      name: "aim_replicas",
      help: "Replicas by model and state.",
      labelNames: ["model", "state"],
      registers,
    }),
    inFlight: new Gauge({
      name: "aim_requests_in_flight",
      help: "Requests that hold a replica.",
      labelNames: ["model"],
      registers,
    }),
    wakeSeconds: new Histogram({
      name: "aim_wake_seconds",
      help: "Time from the decision to wake a sleeping replica until it is ready.",
      labelNames: ["model"],
      buckets: SECONDS_LONG,
      registers,
    }),
  };
}

/** Of what the scheduler decides and makes wait; the gauges are set when somebody looks. */
function schedulerMetrics(registers: Registry[]) {
  return {
    decisions: new Counter({
      name: "aim_decisions_total",
      help: "What was decided (start, stop, sleep, wake, settle, refuse), and why.",
      labelNames: ["kind", "why"],
      registers,
    }),
    waiting: new Gauge({
      name: "aim_queue_depth",
      help: "Requests that wait for a replica.",
      labelNames: ["model"],
      registers,
    }),
    held: new Gauge({
      name: "aim_requests_held",
      help: "Of the requests that wait, those for which nothing is starting or waking, by what they wait for.",
      labelNames: ["model", "why"],
      registers,
    }),
    waitersRefused: new Counter({
      name: "aim_waiters_refused_total",
      help: "Requests refused although they would have waited, by error code: queue_full, model_asleep, no_capacity and others.",
      labelNames: ["model", "reason"],
      registers,
    }),
    scaleTarget: new Gauge({
      name: "aim_scale_target",
      help: "Replicas that a model should have by what there is to do; only where that is more or fewer than there are.",
      labelNames: ["model"],
      registers,
    }),
  };
}

/** Of GPUs; set when somebody looks. */
function gpuMetrics(registers: Registry[]) {
  return {
    gpus: new Gauge({
      name: "aim_gpu_allocated",
      help: "1 where a replica of the model holds the GPU, be it alone, beside others or asleep; 0 where none does.",
      labelNames: ["gpu", "model"],
      registers,
    }),
    gpuMemory: new Gauge({
      name: "aim_gpu_memory_bytes",
      help: "Memory of the GPU: total, used by whomever, and baseline: what is used when nobody of ours holds it.",
      labelNames: ["gpu", "kind"],
      registers,
    }),
    gpuQuarantined: new Gauge({
      name: "aim_gpu_quarantined",
      help: "1 where the memory of the GPU did not come back after a replica, so that nothing is placed on it; else 0.",
      labelNames: ["gpu"],
      registers,
    }),
  };
}
