// The fleet as the data plane uses it: slots on replicas, and words for those who wait.
import { formatDuration } from "../lib/units.ts";
import type { Estimates } from "./launcher/estimates.ts";
import type { Fleet } from "./fleet.ts";
import type { ReplicaLease, RequestTraits } from "./fleet/lease.ts";
import type { Replica } from "./replica.ts";

/** Said to those who ask again when nothing better is known. */
const UNKNOWN_RETRY_MS = 30_000;
const SOONEST_RETRY_MS = 1_000;

export class FleetPool {
  readonly #fleet: Fleet;
  readonly #estimates: Estimates;

  constructor(fleet: Fleet, estimates: Estimates) {
    this.#fleet = fleet;
    this.#estimates = estimates;
  }

  acquire(model: string, request: RequestTraits, signal: AbortSignal): ReplicaLease | Promise<ReplicaLease> {
    return this.#fleet.acquire(model, request, signal);
  }

  /** "loading weights 62%, about 40 s left" */
  describeWait(model: string): string {
    const starting = this.#nearest(model);
    if (starting === undefined) return this.#fleet.demand.holdOf(model)?.text ?? this.#describeBusy(model);
    const outlook = this.#estimates.outlook(starting);
    switch (outlook.kind) {
      case "left":
        return `${starting.reason}, about ${formatDuration(Math.max(SOONEST_RETRY_MS, outlook.ms))} left`;
      case "overdue":
        return `${starting.reason}, longer than any start before`;
      case "unknown":
        return starting.reason;
    }
  }

  isColdStart(model: string): boolean {
    return !this.#fleet.replicas.ofModel(model).some((replica) => replica.isServing);
  }

  retryAfterMs(model: string): number {
    const starting = this.#nearest(model);
    if (starting === undefined) return UNKNOWN_RETRY_MS;
    return Math.max(SOONEST_RETRY_MS, this.#estimates.etaMs(starting) ?? UNKNOWN_RETRY_MS);
  }

  #describeBusy(model: string): string {
    const ready = this.#fleet.replicas.ofModel(model).filter((replica) => replica.state === "ready");
    if (ready.length === 0) return "waiting for a replica";
    return ready.some((replica) => replica.responsive)
      ? "every replica is busy"
      : "its replica does not answer; checking it";
  }

  /** Of the replicas that are coming up, the one that began first. */
  #nearest(model: string): Replica | undefined {
    return this.#fleet.replicas.ofModel(model).find((replica) => replica.isStarting);
  }
}
