// Requests that come just as the backend closes the idle connection they would go out on. `FULL=1` runs it in real time: a
// keep-alive of five seconds, and ten thousand requests.
import { describe, expect, it } from "vitest";
import { Seeded } from "../../simulation/seeded.ts";
import { sleep, systemClock } from "../../../src/lib/clock.ts";
import { startGateway } from "../harness.ts";
import { wireClient } from "./wire.ts";

const FULL = process.env["FULL"] === "1";
const KEEP_ALIVE_MS = FULL ? 5_000 : 200;
const SOCKETS = FULL ? 500 : 100;
const ROUNDS = FULL ? 20 : 12;

/** Lets nobody through before all of a round have come, so that each of them has a connection of its own. */
class Rounds {
  #come = 0;
  #gate = Promise.withResolvers<void>();

  async pass(): Promise<void> {
    const { promise } = this.#gate;
    this.#come += 1;
    if (this.#come === SOCKETS) {
      this.#gate.resolve();
      this.#gate = Promise.withResolvers();
      this.#come = 0;
    }
    await promise;
  }
}

describe("requests that come when a keep-alive of the backend runs out", { timeout: 180_000 }, () => {
  it.each([
    { what: "the gateway lets go before", upstreamIdleMs: 0.8 * KEEP_ALIVE_MS, deaf: true },
    { what: "the backend closes its side", upstreamIdleMs: 100 * KEEP_ALIVE_MS, deaf: false },
    { what: "the backend is gone at once", upstreamIdleMs: 100 * KEEP_ALIVE_MS, deaf: true },
  ])("are all answered: $what", async ({ upstreamIdleMs, deaf }) => {
    const seed = Number(process.env["SEED"] ?? 1);
    const random = new Seeded(seed);
    const rounds = new Rounds();
    const seen = new Set<string>();
    const gateway = await startGateway({
      settings: { upstreamIdleMs },
      backend: { idleCloseMs: KEEP_ALIVE_MS, idleCloseIsDeaf: deaf },
    });
    gateway.backend.respond(async ({ headers }, reply) => {
      // One that is sent again does not count twice.
      const id = String(headers["x-request-id"]);
      if (!seen.has(id)) {
        seen.add(id);
        await rounds.pass();
      }
      reply.json(200, { ok: true });
    });
    const ask = wireClient(gateway.url);
    const client = async (number: number) => {
      for (let round = 0; round < ROUNDS; round++) {
        const { status, whole } = await ask({ headers: { "x-request-id": `${number}-${round}` } });
        expect([seed, number, round, status, whole]).toEqual([seed, number, round, 200, true]);
        await sleep(systemClock, KEEP_ALIVE_MS * (0.98 + 0.04 * random.next()));
      }
    };
    await Promise.all(Array.from({ length: SOCKETS }, (_, number) => client(number)));
    expect(gateway.pool.leases.flatMap(({ outcomes }) => outcomes)).toEqual(
      Array.from({ length: SOCKETS * ROUNDS }, () => ({ kind: "completed" })),
    );
  });
});
