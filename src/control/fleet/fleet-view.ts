// What the fleet shows of itself: plain data for the planner and for people, taken in one go.
import type { RuntimeName } from "../../catalog/recipe.ts";
import type { Gpu } from "../../runtime/driver.ts";
import type { DemandBook } from "./demand.ts";
import type { Failures } from "./failures.ts";
import type { FleetDeps } from "./fleet-deps.ts";
import { gpuKey, heldShare, type GpuBlock, type GpuBook } from "./gpus.ts";
import type { Replica } from "../replica.ts";
import type { Roster } from "./roster.ts";
import type { Wanted } from "./wanted.ts";
import { snapshotOf } from "../snapshot.ts";
import type { FleetSnapshot, SleepPlan, RuntimeSnapshot } from "../snapshot.ts";

/** What the fleet is made of. */
export interface FleetParts {
  readonly roster: Roster;
  readonly demand: DemandBook;
  readonly wanted: Wanted;
  readonly failures: Failures;
  readonly machines: Equipment;
  readonly deps: Pick<FleetDeps, "recipes" | "scale" | "settings" | "usualLoadMs">;
  keepAliveMs(replica: Replica): number;
  /** How often a model is asked for lately; see `ReplicaSnapshot.heat`. */
  heat(model: string): number;
}

/** What the runtimes have, and what is known of their GPUs. */
export interface Equipment {
  readonly book: GpuBook;
  readonly runtimes: ReadonlyMap<RuntimeName, RuntimeSnapshot>;
}

/** Of a replica whose load nobody has seen. */
const UNKNOWN_LOAD_MS = 60_000;

/** One GPU as people see it. */
export interface GpuStatus {
  readonly runtime: RuntimeName;
  /** Its place in the list, from 0. */
  readonly number: number;
  readonly gpu: Gpu;
  readonly status: "free" | "held" | GpuBlock["status"];
  /** Where it is neither free nor held. */
  readonly reason?: string;
  /** Of its memory, what is in use when nobody of ours holds it; absent before that was seen. */
  readonly baselineBytes?: number;
  /** Of several, the one that is awake. */
  readonly holder?: Replica;
  readonly holders: readonly Replica[];
}

export function takeSnapshot(parts: FleetParts): FleetSnapshot {
  const { roster, demand, wanted, failures, machines, deps } = parts;
  return {
    replicas: roster.all().map((replica) => {
      const one = snapshotOf(replica, {
        waiting: demand.waiting(replica.model),
        keepAliveMs: parts.keepAliveMs(replica),
        loadMs: replica.loadMs ?? deps.usualLoadMs(replica) ?? UNKNOWN_LOAD_MS,
        heat: parts.heat(replica.model),
      });
      const sleep = sleepPlanOf(replica, parts);
      return sleep === undefined ? one : { ...one, sleep };
    }),
    // What nobody waits for ranks after all that is waited for.
    demands: [...demand.list(), ...wanted.demands()],
    runtimes: machines.runtimes,
    defaultRuntime: deps.settings.defaultRuntime,
    recipes: deps.recipes.recipes,
    failures: failures.active(),
    blocks: blocksOf(roster, machines),
    scale: deps.scale(),
    policy: deps.settings.scheduling,
  };
}

function sleepPlanOf(
  replica: Replica,
  { failures, machines }: Pick<FleetParts, "failures" | "machines">,
): SleepPlan | undefined {
  const { recipe, state, asleepHostBytes, identity } = replica;
  const isAtIt = state === "dozing" || state === "sleeping" || state === "waking";
  if (recipe?.sleep === undefined || !(isAtIt || failures.maySleep(recipe.id))) return undefined;
  const { afterMs, level, hostMemoryBytes } = recipe.sleep;
  const hostBytes = hostMemoryBytes ?? asleepHostBytes ?? gpuBytes(identity, machines);
  return { afterMs, level, hostBytes: level === 1 ? hostBytes : 0 };
}

/** At most what it has of the memory of its GPUs will it take of the host's. */
function gpuBytes({ runtime, gpus, gpuFraction = 1 }: Replica["identity"], { runtimes }: Equipment): number {
  const all = runtimes.get(runtime)?.gpus ?? [];
  const mine = all.filter(({ id }) => gpus.includes(id));
  return mine.reduce(
    (sum, { memoryBytes, usedBytes = memoryBytes }) => sum + Math.min(usedBytes, memoryBytes * gpuFraction),
    0,
  );
}

export function gpuStatuses(roster: Roster, { book, runtimes }: Equipment): readonly GpuStatus[] {
  const all = [...runtimes].flatMap(([runtime, { gpus }]) => gpus.map((gpu) => ({ runtime, gpu })));
  return all.map(({ runtime, gpu }, number) => {
    const holder = roster.holder(runtime, gpu.id);
    const baselineBytes = book.baselineBytes(runtime, gpu.id);
    const holders = roster.holders(runtime, gpu.id);
    const known = { runtime, number, gpu, holders, ...(baselineBytes === undefined ? {} : { baselineBytes }) };
    if (holder !== undefined) return { ...known, status: "held", holder };
    return { ...known, status: "free", ...book.block(runtime, gpu, 0) };
  });
}

/** Of GPUs that replicas hold entirely nothing is asked: they are not to be given out anyway. */
function blocksOf(roster: Roster, { book, runtimes }: Equipment): ReadonlyMap<string, GpuBlock> {
  const blocks = new Map<string, GpuBlock>();
  for (const [runtime, { gpus }] of runtimes) {
    for (const gpu of gpus) {
      const share = heldShare(roster.holders(runtime, gpu.id));
      const block = share < 1 ? book.block(runtime, gpu, share) : undefined;
      if (block !== undefined) blocks.set(gpuKey(runtime, gpu.id), block);
    }
  }
  return blocks;
}
