// One request as the data plane carries it out: acquire, be served for a while, give the lease back.
import type { ReplicaLease, RequestTraits } from "../../src/control/fleet/lease.ts";
import type { FleetPool } from "../../src/control/pool.ts";
import type { Clock, Timer } from "../../src/lib/clock.ts";
import type { FakeContainer, FakeWorld } from "./fake-world.ts";

export interface RequestOptions {
  /** From the lease to the end of the answer; a second when absent. */
  readonly serveMs?: number;
  /** Its client leaves when this aborts. */
  readonly signal?: AbortSignal;
  readonly traits?: Partial<RequestTraits>;
  /** Called once, when it is over; that may be before its constructor has ended. */
  readonly onEnd?: (request: TestRequest) => void;
}

/** The gateway it is sent to. */
export interface Surroundings {
  readonly world: FakeWorld;
  readonly clock: Clock;
  readonly pool: Pick<FleetPool, "acquire" | "tryAcquire">;
  /** Those that would break with the gateway. */
  readonly connections: Set<TestRequest>;
}

/** `broken`: it had a replica, and that, its client or the gateway went away. */
export type RequestOutcome = "waiting" | "served" | "serving" | "refused" | "broken";

const STAYS = new AbortController().signal;

export class TestRequest {
  readonly model: string;
  outcome: RequestOutcome = "waiting";
  error: unknown;
  replica: string | undefined;
  lease: ReplicaLease | undefined;
  readonly since: number;
  readonly #gateway: Surroundings;
  readonly #serveMs: number;
  readonly #signal: AbortSignal;
  readonly #onEnd: RequestOptions["onEnd"];
  #container: FakeContainer | undefined;
  #timer: Timer | undefined;

  constructor(gateway: Surroundings, model: string, options: RequestOptions) {
    const { serveMs = 1_000, signal = STAYS, traits, onEnd } = options;
    this.model = model;
    this.since = gateway.clock.now();
    this.#onEnd = onEnd;
    this.#gateway = gateway;
    this.#serveMs = serveMs;
    this.#signal = signal;
    gateway.connections.add(this);
    try {
      const request = { bodyBytes: 100, ...traits };
      const warm = gateway.pool.tryAcquire(model, request);
      if (warm !== undefined) this.#serve(warm);
      else
        gateway.pool.acquire(model, request, signal).then(
          (lease) => this.#serve(lease),
          (error: unknown) => this.#end("refused", error),
        );
    } catch (error) {
      this.#end("refused", error);
    }
  }

  get isOver(): boolean {
    return this.outcome !== "waiting" && this.outcome !== "serving";
  }

  /** The gateway was killed: nobody there is told anything any more. */
  disconnect(): void {
    this.lease = undefined;
    this.#end(this.outcome === "waiting" ? "refused" : "broken", new Error("the gateway was killed"));
  }

  #serve(lease: ReplicaLease): void {
    // One that is disconnected has nobody to give it back to.
    if (this.isOver) return;
    this.lease = lease;
    this.replica = lease.replica;
    this.outcome = "serving";
    const { world, clock } = this.#gateway;
    const container = world.at(lease.address);
    if (container === undefined || !world.isLoaded(lease.address)) {
      const error = new Error("ECONNREFUSED");
      lease.report({ kind: "unreachable", error });
      return this.#end("broken", error);
    }
    if (this.#signal.aborted) return this.#onLeave();
    this.#container = container;
    world.sleep.noteRequest(container);
    container.requests.add(this.#onLost);
    this.#signal.addEventListener("abort", this.#onLeave, { once: true });
    if (!container.isDeaf) this.#timer = clock.setTimer(this.#serveMs, () => this.#end("served", undefined));
  }

  /** The replica ended under it. */
  readonly #onLost = (error: Error) => this.#end("broken", error);

  readonly #onLeave = () => this.#end("broken", this.#signal.reason);

  #end(outcome: RequestOutcome, error: unknown): void {
    if (this.isOver) return;
    this.outcome = outcome;
    this.error = error;
    this.#gateway.connections.delete(this);
    this.#timer?.cancel();
    this.#container?.requests.delete(this.#onLost);
    if (this.#container !== undefined) this.#signal.removeEventListener("abort", this.#onLeave);
    if (outcome === "served") this.lease?.firstByte();
    this.lease?.release();
    this.#onEnd?.(this);
  }
}
