// The doctor's round: every runtime that can examine its machine does, at once and within bounds.
import type { RuntimeName } from "../../catalog/recipe.ts";
import { messageOf } from "../../errors.ts";
import { deadline, type Clock } from "../../lib/clock.ts";
import { orAborted } from "../../lib/or-aborted.ts";
import type { Check, RuntimeDriver } from "../../runtime/driver.ts";

export interface ExamineDeps {
  readonly drivers: ReadonlyMap<RuntimeName, RuntimeDriver>;
  readonly clock: Clock;
}

const LIMIT_MS = 30_000;

/** Rejects only when the signal aborts: that a runtime could not be examined is a finding like any other. */
export async function examineAll({ drivers, clock }: ExamineDeps, signal: AbortSignal): Promise<readonly Check[]> {
  const rounds = [...drivers.values()].map((driver) => examineOne(driver, clock, signal));
  return (await Promise.all(rounds)).flat();
}

async function examineOne(driver: RuntimeDriver, clock: Clock, signal: AbortSignal): Promise<readonly Check[]> {
  if (driver.examine === undefined) return [];
  const tooLate = () => new Error(`no result within ${LIMIT_MS / 1000} s`);
  const limit = deadline(clock, LIMIT_MS, tooLate, signal);
  try {
    return await orAborted(driver.examine(limit.signal), limit.signal);
  } catch (error) {
    signal.throwIfAborted();
    const found = `could not be examined: ${messageOf(limit.signal.aborted ? limit.signal.reason : error)}`;
    return [{ name: driver.name, status: "problem", found, fix: "look at the gateway's log, and try again" }];
  } finally {
    limit.done();
  }
}
