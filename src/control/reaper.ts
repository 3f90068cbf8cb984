// Carries out one removal: asks the driver until the replica is verifiably gone. Only then are its GPUs free.
import type { RuntimeName } from "../catalog/recipe.ts";
import { isAimError, messageOf } from "../errors.ts";
import { sleep, type Clock } from "../lib/clock.ts";
import type { RuntimeDriver } from "../runtime/driver.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Fleet } from "./fleet.ts";
import type { Replica } from "./replica.ts";

export interface ReaperDeps {
  readonly clock: Clock;
  readonly fleet: Fleet;
  readonly drivers: ReadonlyMap<RuntimeName, RuntimeDriver>;
  readonly logger: Logger;
  readonly stopGraceMs: number;
}

const FIRST_RETRY_MS = 1_000;
const MOST_RETRY_MS = 30_000;

export class Reaper {
  readonly #deps: ReaperDeps;

  constructor(deps: ReaperDeps) {
    this.#deps = deps;
  }

  /** stopping | failed → gone. Retries for as long as the signal allows: a replica that may still run still holds its GPUs. */
  async takeDown(replica: Replica, signal: AbortSignal): Promise<void> {
    const { clock, fleet, logger } = this.#deps;
    for (let delayMs = FIRST_RETRY_MS; ; delayMs = Math.min(delayMs * 2, MOST_RETRY_MS)) {
      try {
        await this.#stop(replica, signal);
        return fleet.gone(replica);
      } catch (error) {
        if (signal.aborted) return;
        logger.warn({ replica: replica.name, err: error }, "a replica could not be taken down; trying again");
        // A runtime that is away may do it when it is back.
        if (!isAimError(error) || error.code !== "runtime_unavailable") fleet.stopFailed(replica);
        fleet.describe(replica, `cannot be taken down yet: ${messageOf(error)}`);
      }
      await sleep(clock, delayMs, signal).catch(() => undefined);
      if (signal.aborted) return;
    }
  }

  async #stop(replica: Replica, signal: AbortSignal): Promise<void> {
    const driver = this.#deps.drivers.get(replica.identity.runtime);
    if (replica.ref === undefined || driver === undefined) return;
    await driver.stop(replica.ref, { graceMs: this.#deps.stopGraceMs, reason: replica.reason }, signal);
  }
}
