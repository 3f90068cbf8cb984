// Those who ask: each request waits as long as the gateway holds it, and is counted once, as served or as refused.
import type { ControlPlane } from "../../src/control/plane.ts";
import { deadline, sleep, type Clock } from "../../src/lib/clock.ts";
import type { ReplicaLease } from "../../src/control/fleet/lease.ts";
import type { FakeWorld } from "../../test/support/fake-world.ts";
import type { Arrival, Ask } from "./traces.ts";

export interface ClientsDeps {
  readonly clock: Clock;
  readonly pool: ControlPlane["pool"];
  readonly world: FakeWorld;
  /** Longest wait of a request that is not streamed, and of one that is. */
  readonly maxHoldMs: number;
  readonly maxStreamHoldMs: number;
}

const BODY_BYTES = 4096;

export class Clients {
  readonly #deps: ClientsDeps;
  /** Waits of those that were served. */
  readonly waitsMs: number[] = [];
  refused = 0;
  /** Neither served nor refused yet. */
  open = 0;

  constructor(deps: ClientsDeps) {
    this.#deps = deps;
  }

  /** Asks for all of them, each at its time. */
  follow(arrivals: readonly Arrival[], from = 0): void {
    const { clock } = this.#deps;
    const next = arrivals[from];
    if (next === undefined) return;
    clock.setTimer(next.atMs - clock.now(), () => {
      void this.#ask(next);
      this.follow(arrivals, from + 1);
    });
  }

  async #ask({ model, serveMs, isStream, followUp }: Ask & Pick<Arrival, "followUp">): Promise<void> {
    const { clock, pool, maxHoldMs, maxStreamHoldMs } = this.#deps;
    const since = clock.now();
    this.open += 1;
    const hold = deadline(clock, isStream ? maxStreamHoldMs : maxHoldMs, () => new Error("held long enough"));
    try {
      const lease = await pool.acquire(model, { bodyBytes: BODY_BYTES }, hold.signal);
      this.waitsMs.push(clock.now() - since);
      await this.#serve(lease, serveMs);
      if (followUp !== undefined) void this.#ask(followUp);
    } catch {
      // Whatever the reason: it was not served.
      this.refused += 1;
    } finally {
      hold.done();
      this.open -= 1;
    }
  }

  /** The world is told, so that it notes a replica that is stopped meanwhile. */
  async #serve(lease: ReplicaLease, serveMs: number): Promise<void> {
    const { clock, world } = this.#deps;
    const requests = world.at(lease.address)?.requests;
    const onLost = () => {};
    requests?.add(onLost);
    await sleep(clock, serveMs);
    requests?.delete(onLost);
    lease.release();
  }
}
