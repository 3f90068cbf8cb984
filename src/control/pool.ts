// The fleet as the data plane uses it: slots on replicas, and words for those who wait.
import type { Fleet } from "./fleet.ts";
import type { ReplicaLease, RequestTraits } from "./fleet/lease.ts";
import type { Prospects } from "./prospects.ts";

/** Said to those who ask again when nothing better is known: of a start that was never seen, or of a slot on busy replicas. */
const UNKNOWN_RETRY_MS = 30_000;
const SOONEST_RETRY_MS = 1_000;

export class FleetPool {
  readonly #fleet: Fleet;
  readonly #prospects: Prospects;

  constructor(fleet: Fleet, prospects: Prospects) {
    this.#fleet = fleet;
    this.#prospects = prospects;
  }

  tryAcquire(model: string, request: RequestTraits): ReplicaLease | undefined {
    return this.#fleet.slots.tryAcquire(model, request);
  }

  acquire(model: string, request: RequestTraits, signal: AbortSignal): Promise<ReplicaLease> {
    return this.#fleet.slots.acquire(model, request, signal);
  }

  /** "loading weights 62%, about 40 s left" */
  describeWait(model: string): string {
    return this.#prospects.describe(model) ?? this.#describeBusy(model);
  }

  isColdStart(model: string): boolean {
    return !this.#fleet.replicas.ofModel(model).some((replica) => replica.isServing);
  }

  retryAfterMs(model: string): number {
    const serving = this.#fleet.replicas.ofModel(model).filter((replica) => replica.isServing);
    if (serving.some((replica) => replica.hasRoom)) return SOONEST_RETRY_MS;
    if (serving.length > 0) return UNKNOWN_RETRY_MS;
    return Math.max(SOONEST_RETRY_MS, this.#prospects.etaMs(model) ?? UNKNOWN_RETRY_MS);
  }

  #describeBusy(model: string): string {
    const ready = this.#fleet.replicas.ofModel(model).filter((replica) => replica.state === "ready");
    if (ready.length === 0) return "waiting for a replica";
    return ready.some((replica) => replica.responsive)
      ? "every replica is busy"
      : "its replica does not answer; checking it";
  }
}
