// What running replicas use, asked of their runtimes all at once; one that does not answer keeps nobody else waiting.
import type { RuntimeName } from "../../catalog/recipe.ts";
import { messageOf } from "../../errors.ts";
import { deadline, type Clock } from "../../lib/clock.ts";
import { orAborted } from "../../lib/or-aborted.ts";
import type { ReplicaStats, RuntimeDriver } from "../../runtime/driver.ts";
import type { Fleet } from "../fleet.ts";
import type { Replica } from "../replica.ts";

export interface MeasureDeps {
  readonly fleet: Fleet;
  readonly drivers: ReadonlyMap<RuntimeName, RuntimeDriver>;
  readonly clock: Clock;
}

export interface Measurement extends ReplicaStats {
  readonly replica: string;
  readonly model: string;
  /** Of all its GPUs; absent where one cannot be read. */
  readonly gpuMemoryBytes?: number;
  readonly gpuMemoryTotalBytes: number;
  readonly inFlight: number;
  /** ISO 8601, UTC. */
  readonly time: string;
  /** Instead of the figures. */
  readonly problem?: string;
}

const LIMIT_MS = 10_000;

/** Every replica that serves or finishes what it has. */
export function measureReplicas(deps: MeasureDeps, signal: AbortSignal): Promise<readonly Measurement[]> {
  const serving = deps.fleet.replicas.all().filter(({ state }) => state === "ready" || state === "draining");
  return Promise.all(serving.map((replica) => measure(replica, deps, signal)));
}

async function measure(replica: Replica, deps: MeasureDeps, signal: AbortSignal): Promise<Measurement> {
  const { name, model } = replica;
  const used = await askDriver(replica, deps, signal);
  return {
    replica: name,
    model,
    ...used,
    ...gpuMemory(replica, deps.fleet),
    inFlight: replica.inFlight,
    time: new Date(deps.clock.wallNow()).toISOString(),
  };
}

async function askDriver(
  { name, ref, identity }: Replica,
  { drivers, clock }: MeasureDeps,
  signal: AbortSignal,
): Promise<ReplicaStats & { readonly problem?: string }> {
  const driver = drivers.get(identity.runtime);
  if (driver === undefined || ref === undefined) return unmeasured(`${name} has nothing to measure yet`);
  const tooLate = () => new Error(`the ${driver.name} runtime did not answer within ${LIMIT_MS / 1000} s`);
  const limit = deadline(clock, LIMIT_MS, tooLate, signal);
  try {
    return await orAborted(driver.stats(ref, limit.signal), limit.signal);
  } catch (error) {
    signal.throwIfAborted();
    return unmeasured(messageOf(limit.signal.aborted ? limit.signal.reason : error));
  } finally {
    limit.done();
  }
}

function unmeasured(problem: string): ReplicaStats & { readonly problem: string } {
  return { memoryBytes: 0, cpuSeconds: 0, problem };
}

/** As of the last look at the runtime's GPUs. */
function gpuMemory(replica: Replica, fleet: Fleet): Pick<Measurement, "gpuMemoryBytes" | "gpuMemoryTotalBytes"> {
  const gpus = fleet.machines.gpus().flatMap(({ holder, gpu }) => (holder === replica ? [gpu] : []));
  const used = gpus.flatMap(({ usedBytes }) => usedBytes ?? []);
  return {
    gpuMemoryTotalBytes: sum(gpus.map(({ memoryBytes }) => memoryBytes)),
    ...(gpus.length === 0 || used.length < gpus.length ? {} : { gpuMemoryBytes: sum(used) }),
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
