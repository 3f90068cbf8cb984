// Everything that happens to a replica, told in one place: as a log line, an event and a metric.
import type { Clock } from "../lib/clock.ts";
import type { EventLog } from "../telemetry/events.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { ReplicaFailure } from "./fleet/failures.ts";
import type { GpuChange } from "./fleet/gpus.ts";
import type { Replica, ReplicaState } from "./replica.ts";

export class Journal {
  readonly #clock: Clock;
  readonly #events: EventLog;
  readonly #metrics: Metrics;
  readonly #logger: Logger;

  constructor(deps: {
    readonly clock: Clock;
    readonly events: EventLog;
    readonly metrics: Metrics;
    readonly logger: Logger;
  }) {
    this.#clock = deps.clock;
    this.#events = deps.events;
    this.#metrics = deps.metrics;
    this.#logger = deps.logger;
  }

  /** `from` is undefined for a replica that just came into being. */
  moved(replica: Replica, from: ReplicaState | undefined): void {
    const { name, model, state, reason } = replica;
    this.#logger.info({ replica: name, model, from, to: state, reason }, "replica changed state");
    this.#publish(replica, `replica:${state}`, `${name} is ${state}: ${reason}`);
    if (state === "ready" && !replica.identity.adopted) {
      this.#metrics.starts.inc({ model, outcome: "ready" });
      this.#metrics.startSeconds.observe({ model }, (this.#clock.now() - replica.createdAt) / 1000);
    }
    if (state === "gone") this.#metrics.reaps.inc({ model, reason: replica.stopCause ?? "failed" });
  }

  failed(replica: Replica, failure: ReplicaFailure): void {
    const { name, model } = replica;
    const { cause, advice, lastLines, counts } = failure;
    const fields = { replica: name, model, cause, advice, lastLines };
    // Where nobody is at fault nobody has to be woken.
    if (counts) this.#logger.error(fields, "replica failed");
    else this.#logger.warn(fields, "replica failed");
    this.#publish(replica, "replica:failed:cause", `${name}: ${failure.message}. ${advice}`);
    if (replica.readyAt === undefined) this.#metrics.starts.inc({ model, outcome: cause });
  }

  adopted(replica: Replica): void {
    const { name, model, ref } = replica;
    this.#logger.info({ replica: name, model, backend: ref?.id }, "adopted a replica that was already running");
    this.#publish(replica, "replica:adopted", `${name} was already running and is taken over`);
  }

  responsiveness(replica: Replica, why: string | undefined): void {
    const { name, model } = replica;
    if (why === undefined) this.#logger.info({ replica: name, model }, "replica answers again");
    else this.#logger.warn({ replica: name, model, why }, "replica does not answer; it gets no new requests");
    this.#publish(
      replica,
      why === undefined ? "replica:responsive" : "replica:unresponsive",
      `${name}: ${why ?? "answers again"}`,
    );
  }

  /** A process of it was killed for memory; whether it still serves is being looked into. */
  memoryShort(replica: Replica): void {
    const { name, model, state } = replica;
    this.#logger.warn({ replica: name, model, state }, "a process of a replica was killed for memory");
    this.#publish(replica, "replica:out-of-memory", `${name}: one of its processes was killed for memory`);
  }

  /** A decision about demand that led to no replica. */
  refused(model: string, reason: string): void {
    this.#logger.warn({ model, reason }, "demand cannot be met");
    this.#events.publish({ type: "demand:refused", message: `${model}: ${reason}`, model });
  }

  runtime(name: string, unavailable: string | undefined): void {
    if (unavailable === undefined) this.#logger.info({ runtime: name }, "runtime is available");
    else this.#logger.warn({ runtime: name, reason: unavailable }, "runtime is not available");
    const message =
      unavailable === undefined ? `runtime ${name} is available` : `runtime ${name} is not available: ${unavailable}`;
    this.#events.publish({
      type: unavailable === undefined ? "runtime:available" : "runtime:unavailable",
      message,
    });
  }

  gpu(runtime: string, { gpu, kind, reason }: GpuChange): void {
    const fields = { runtime, gpu, reason };
    if (kind === "quarantined") this.#logger.warn(fields, "GPU is quarantined; nothing is placed on it");
    else if (kind === "recovered") this.#logger.debug(fields, "GPU is free again");
    else this.#logger.info(fields, "GPU is no longer quarantined");
    if (kind !== "recovered") this.#events.publish({ type: `gpu:${kind}`, message: `GPU ${gpu}: ${reason}` });
  }

  #publish(replica: Replica, type: string, message: string): void {
    this.#events.publish({ type, message, model: replica.model, replica: replica.name });
  }
}
