// Everything that is decided and everything that happens to a replica, told in one place: as a log line, an event and a metric.
import type { AimError } from "../errors.ts";
import type { Clock } from "../lib/clock.ts";
import { formatDuration } from "../lib/units.ts";
import type { EventLog } from "../telemetry/events.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Ejection } from "./fleet/ejection.ts";
import type { ReplicaFailure } from "./fleet/failures.ts";
import type { GpuChange } from "./fleet/gpus.ts";
import { decisionEvent, holdEvent, typeOf, whyOf } from "./journal/decision-words.ts";
import { HoldNews, RefusalNews, ScaleNews, type Refused } from "./journal/news.ts";
import type { Action, Plan } from "./planner/actions.ts";
import type { FleetSnapshot } from "./snapshot.ts";
import type { Replica, ReplicaState } from "./replica.ts";

export class Journal {
  readonly #clock: Clock;
  readonly #events: EventLog;
  readonly #metrics: Metrics;
  readonly #logger: Logger;
  readonly #holds = new HoldNews();
  readonly #scale = new ScaleNews();
  readonly #refusals = new RefusalNews();

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
    if (from === "loading" && state === "ready" && !replica.identity.adopted) {
      this.#metrics.starts.inc({ model, outcome: "ready" });
      this.#metrics.startSeconds.observe({ model }, (this.#clock.now() - replica.createdAt) / 1000);
    }
    if (from === "waking" && state === "ready" && replica.wakeMs !== undefined)
      this.#metrics.wakeSeconds.observe({ model }, replica.wakeMs / 1000);
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

  /** Its requests fail: others get them for a while. */
  ejected(replica: Replica, { why, failures, forMs }: Ejection): void {
    const { name, model } = replica;
    this.#logger.warn({ replica: name, model, why, failures, forMs }, "replica is left out of the choice");
    this.#metrics.ejections.inc({ model });
    this.#publish(replica, "replica:ejected", `${name} is left out for ${formatDuration(forMs)}: ${why}`);
  }

  /** It answers well again. */
  trusted(replica: Replica): void {
    const { name, model } = replica;
    this.#logger.info({ replica: name, model }, "replica is in the choice again");
    this.#publish(replica, "replica:trusted", `${name} is in the choice again: it gave a whole answer`);
  }

  /** A process of it was killed for memory; whether it still serves is being looked into. */
  memoryShort(replica: Replica): void {
    const { name, model, state } = replica;
    this.#logger.warn({ replica: name, model, state }, "a process of a replica was killed for memory");
    this.#publish(replica, "replica:out-of-memory", `${name}: one of its processes was killed for memory`);
  }

  /** Something is to be done; `replica` is the one it is about, where there is one. */
  decided(action: Action, replica: Replica | undefined): void {
    const why = whyOf(action);
    this.#metrics.decisions.inc({ kind: action.kind, why });
    if (action.kind === "refuse") {
      const { demand, reason } = action;
      const { model } = demand.request;
      this.#logger.warn({ model, reason }, "demand cannot be met");
      if (this.#isNewRefusal({ model, reason: why, count: demand.waiting }))
        this.#events.publish(decisionEvent(action, undefined));
      return;
    }
    const isMet = action.kind === "start" || action.kind === "wake" || action.kind === "settle";
    if (isMet && action.demand !== undefined) this.#holds.met(action.demand);
    this.#logger.debug({ action: action.kind, why, reason: action.reason }, "decided");
    if (this.#events.isHeeded) this.#events.publish(decisionEvent(action, replica?.model));
  }

  /** What a plan was made from, and what it makes wait. Called with every plan: what is no news costs next to nothing. */
  planned({ demands, scale }: Pick<FleetSnapshot, "demands" | "scale">, { holds }: Pick<Plan, "holds">): void {
    const now = this.#clock.now();
    for (const demand of this.#holds.look(demands, holds, now)) {
      const hold = holds.get(demand.id);
      const { model } = demand.request;
      if (hold === undefined) continue;
      this.#logger.debug({ model, why: hold.why, reason: hold.text }, "demand has to wait");
      this.#events.publish(holdEvent(model, hold, demand.waiting));
    }
    for (const model of this.#scale.look(scale)) {
      const target = scale.get(model);
      if (target === undefined) continue;
      this.#logger.info({ model, replicas: target.replicas, reason: target.reason }, "scale changed");
      const message = `${model} is meant to have ${target.replicas} replicas: ${target.reason}`;
      this.#events.publish({ type: "decision:scale", message, model });
    }
    for (const { model, reason, count } of this.#refusals.due(now)) {
      const message = `refused ${count} more requests for ${model}`;
      this.#events.publish({ type: typeOf("waiters:refused", reason), message, model });
    }
  }

  /** Requests that were refused without a plan: there is no room to wait, or somebody else has more right to it. */
  turnedAway(model: string, error: AimError, count = 1): void {
    if (!this.#isNewRefusal({ model, reason: error.code, count })) return;
    this.#events.publish({ type: typeOf("waiters:refused", error.code), message: error.message, model });
  }

  /** It is protected from now on, or no longer. */
  pinned(replica: Replica): void {
    const { name, model, pinned } = replica;
    this.#logger.info({ replica: name, model, pinned }, "replica pinned or unpinned");
    const message = pinned ? "is pinned: neither evicted nor unloaded for being idle" : "is no longer pinned";
    this.#publish(replica, pinned ? "replica:pinned" : "replica:unpinned", `${name} ${message}`);
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

  /** Counts it; whether it is the first of its kind for a while. */
  #isNewRefusal(refused: Refused): boolean {
    this.#metrics.waitersRefused.inc({ model: refused.model, reason: refused.reason }, refused.count);
    return this.#refusals.add(refused, this.#clock.now());
  }

  #publish(replica: Replica, type: string, message: string): void {
    this.#events.publish({ type, message, model: replica.model, replica: replica.name });
  }
}
