// One inference request from its arrival to its one end: what is known of it, whether the client is still there, and what
// is recorded when it is over.
import { type AimError, type ErrorCode, messageOf } from "../errors.ts";
import type { Clock } from "../lib/clock.ts";
import { type Logger, logRequest } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { REQUEST_ENDED } from "../telemetry/request-line.ts";
import { clientGone } from "./downstream/client-faults.ts";
import type { Downstream } from "./downstream/downstream.ts";
import { forApiClients } from "./error-response.ts";
import type { KeepAlive } from "./keep-alive.ts";
import type { Client } from "./keys.ts";
import type { Lease, Priority } from "./pool.ts";
import { Reply } from "./reply.ts";
import type { Target } from "./resolve.ts";

/** How far a request has come; names the phase in which someone left. */
export type Phase = "reading" | "queued" | "connecting" | "first_byte" | "streaming";

const BACKEND_FAULTS: readonly ErrorCode[] = ["bad_gateway", "upstream_error", "upstream_timeout"];

export interface ExchangeDeps {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

export interface ExchangeInit {
  readonly downstream: Downstream;
  readonly route: string;
  readonly requestId: string;
  /** Whose request it is; undefined where there are no keys. */
  readonly client: Client | undefined;
}

export class Exchange {
  readonly downstream: Downstream;
  readonly route: string;
  readonly requestId: string;
  readonly client: Client | undefined;
  readonly reply: Reply;
  readonly startedAt: number;
  phase: Phase = "reading";
  /** Its place among those under way. */
  place = -1;
  /** Whether its wait began with no replica that serves. */
  waitsForStart = false;
  /** There while the client waits with a stream. */
  keepAlive: KeepAlive | undefined;

  readonly #deps: ExchangeDeps;
  #controller: AbortController | undefined;
  #abortReason: AimError | undefined;
  #onAbort: (() => void) | undefined;
  #model: string | undefined;
  #priority: Priority | undefined;
  #lease: Lease | undefined;
  #queueMs: number | undefined;
  #status = 0;
  #firstByteMs: number | undefined;
  #wasResent = false;

  constructor(init: ExchangeInit, deps: ExchangeDeps) {
    this.downstream = init.downstream;
    this.route = init.route;
    this.requestId = init.requestId;
    this.client = init.client;
    this.reply = new Reply(init.downstream);
    this.reply.header("x-request-id", init.requestId);
    this.startedAt = deps.clock.now();
    this.#deps = deps;
    init.downstream.onGone(() => this.abort(clientGone()));
  }

  /** Aborts when the client leaves or the request may not go on; the reason is an `AimError`. Made for those who wait: it is dear. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    return this.#controller.signal;
  }

  get isAborted(): boolean {
    return this.#abortReason !== undefined;
  }

  /** Why it was aborted. */
  get abortReason(): AimError {
    return this.#abortReason ?? clientGone();
  }

  /** The first reason stays. */
  abort(reason: AimError): void {
    if (this.#abortReason !== undefined) return;
    this.#abortReason = reason;
    this.#controller?.abort(reason);
    this.#onAbort?.();
  }

  /** What is to happen when it is aborted, at once where it is already; one thing at a time, undefined for none any more. */
  onAbort(listener: (() => void) | undefined): void {
    this.#onAbort = listener;
    if (this.isAborted) listener?.();
  }

  resolved(target: Target): Target {
    this.#model = target.model;
    this.#priority = target.hints.priority;
    this.reply.header("x-aim-model", target.model);
    return target;
  }

  /** The replica could not be reached; another is tried. */
  retrying(attempt: number): void {
    this.#deps.metrics.retries.inc({ model: this.#label() });
    this.reply.header("x-aim-attempt", String(attempt));
  }

  /** Whether it may be sent once more although a backend may have read it: one time only. */
  mayResend(): boolean {
    const may = !this.#wasResent;
    this.#wasResent = true;
    return may;
  }

  /** A wait of `ms` is over, with a lease or without. */
  dequeued(ms: number, lease?: Lease): void {
    this.#queueMs = (this.#queueMs ?? 0) + ms;
    const queueMs = String(Math.round(this.#queueMs));
    this.reply.header("x-aim-queue-ms", queueMs);
    if (lease === undefined) return;
    this.phase = "connecting";
    this.#lease = lease;
    this.reply.header("x-aim-replica", lease.replica);
    if (lease.coldStart) this.reply.header("x-aim-cold-start", "1");
    // The head of a held stream is gone: it learns in a comment what others read in headers.
    this.reply.comment(`x-aim-replica: ${lease.replica}, x-aim-queue-ms: ${queueMs}`);
  }

  stopKeepAlive(): void {
    this.keepAlive?.stop();
    this.keepAlive = undefined;
  }

  /** The backend's status line came. */
  answered(status: number): void {
    this.#status = status;
  }

  firstByte(): void {
    if (this.#firstByteMs !== undefined) return;
    this.phase = "streaming";
    this.#firstByteMs = this.#deps.clock.now() - this.startedAt;
    this.#lease?.firstByte();
  }

  /** The one end: the answer's, the metrics', the log line's. */
  finish(thrown?: unknown): void {
    this.downstream.onGone(undefined);
    this.stopKeepAlive();
    const error = thrown === undefined ? undefined : forApiClients(thrown);
    if (error !== undefined) this.reply.fail(error);
    const durationMs = this.#deps.clock.now() - this.startedAt;
    this.#count(error, durationMs);
    this.#log(error, durationMs);
  }

  #count(error: AimError | undefined, durationMs: number): void {
    const { metrics } = this.#deps;
    const model = this.#label();
    const isCold = this.#lease?.coldStart ?? this.waitsForStart;
    const start = isCold ? "cold" : "warm";
    metrics.requests.labels(this.route, model, String(error?.status ?? this.#status)).inc();
    metrics.requestSeconds.labels(this.route, model).observe(durationMs / 1000);
    const priority = this.#priority ?? "normal";
    if (this.#queueMs !== undefined) metrics.queueSeconds.labels(model, start, priority).observe(this.#queueMs / 1000);
    if (this.#firstByteMs !== undefined)
      metrics.firstByteSeconds.labels(model, start).observe(this.#firstByteMs / 1000);
    if (error === undefined) return;
    if (error.code === "client_closed_request") metrics.streamAborts.inc({ side: "client", phase: this.phase });
    else if (BACKEND_FAULTS.includes(error.code)) metrics.streamAborts.inc({ side: "backend", phase: this.phase });
    else metrics.rejections.inc({ reason: error.code });
  }

  /** Only known models become labels: anyone can invent names. */
  #label(): string {
    return this.#model ?? "_unknown";
  }

  #log(error: AimError | undefined, durationMs: number): void {
    const end = {
      requestId: this.requestId,
      route: this.route,
      client: this.client?.name,
      priority: this.#priority,
      model: this.#model,
      replica: this.#lease?.replica,
      status: error?.status ?? this.#status,
      outcome: error?.code ?? "completed",
      phase: error === undefined ? undefined : this.phase,
      coldStart: this.#lease?.coldStart,
      queueMs: rounded(this.#queueMs),
      firstByteMs: rounded(this.#firstByteMs),
      durationMs: rounded(durationMs),
      bytes: this.reply.bytes,
    };
    const { logger } = this.#deps;
    if (error?.code === "client_closed_request") logRequest(logger, "debug", end);
    else if (error === undefined || error.status < 500 || error.code === "model_asleep")
      logRequest(logger, "info", end);
    else if (error.code === "internal_error") logger.error({ ...end, err: error.cause }, REQUEST_ENDED);
    else logRequest(logger, "warn", { ...end, reason: messageOf(error) });
  }
}

function rounded(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms * 10) / 10;
}
