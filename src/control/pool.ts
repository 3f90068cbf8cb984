// The fleet as the data plane uses it: slots on replicas, and words for those who wait.
import type { Clock } from "../lib/clock.ts";
import { formatDuration } from "../lib/units.ts";
import type { Estimates } from "./estimates.ts";
import type { Fleet } from "./fleet.ts";
import type { ReplicaLease, RequestSize } from "./lease.ts";
import type { Replica } from "./replica.ts";

/** Said to those who ask again when nothing better is known. */
const UNKNOWN_RETRY_MS = 30_000;
const SOONEST_RETRY_MS = 1_000;

export class FleetPool {
  readonly #fleet: Fleet;
  readonly #estimates: Estimates;
  readonly #clock: Clock;

  constructor(fleet: Fleet, estimates: Estimates, clock: Clock) {
    this.#fleet = fleet;
    this.#estimates = estimates;
    this.#clock = clock;
  }

  acquire(model: string, request: RequestSize, signal: AbortSignal): ReplicaLease | Promise<ReplicaLease> {
    return this.#fleet.acquire(model, request, signal);
  }

  /** "loading weights 62%, about 40 s left" */
  describeWait(model: string): string {
    const starting = this.#nearest(model);
    if (starting === undefined) return this.#fleet.demand.holdReason(model) ?? this.#describeBusy(model);
    const leftMs = this.#leftMs(starting);
    return leftMs === undefined ? starting.reason : `${starting.reason}, about ${formatDuration(leftMs)} left`;
  }

  isColdStart(model: string): boolean {
    return !this.#fleet.replicas.ofModel(model).some((replica) => replica.isServing);
  }

  retryAfterMs(model: string): number {
    const starting = this.#nearest(model);
    if (starting === undefined) return UNKNOWN_RETRY_MS;
    return Math.max(SOONEST_RETRY_MS, this.#leftMs(starting) ?? UNKNOWN_RETRY_MS);
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

  /** Undefined before the first start, and once a start takes longer than the earlier ones did. */
  #leftMs(replica: Replica): number | undefined {
    const usualMs = this.#estimates.startMs(replica.identity.recipeId);
    if (usualMs === undefined) return undefined;
    const leftMs = usualMs - (this.#clock.now() - replica.createdAt);
    return leftMs > 0 ? Math.max(1000, leftMs) : undefined;
  }
}
