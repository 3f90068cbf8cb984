// What the planner sees, with only what a test cares about spelt out: a docker runtime with eight GPUs, and recipes a, b and c
// that take four each.
import type {
  Demand,
  FleetSnapshot,
  ReplicaSnapshot,
  RuntimeSnapshot,
  SchedulingPolicy,
} from "../../src/control/snapshot.ts";
import { makeGpus, makeRecipe } from "./make.ts";

export const NOW = 1_000_000;
export const GPUS = makeGpus(8);

export const POLICY: SchedulingPolicy = {
  minResidencyMs: 60_000,
  maxWaitMs: 60_000,
  maxStarts: 100,
  abortsUnwanted: true,
  sleepMemoryBytes: 2 ** 40,
};

/** Of GPUs, from one number up to but not including another. */
export function ids(from: number, to: number): readonly string[] {
  return GPUS.slice(from, to).map((gpu) => gpu.id);
}

export function replica(model: string, overrides: Partial<ReplicaSnapshot> = {}): ReplicaSnapshot {
  return {
    name: `${model}-1`,
    model,
    recipeId: model,
    profileId: "4_gpu",
    runtime: "docker",
    state: "ready",
    responsive: true,
    gpus: [],
    inFlight: 0,
    waiting: 0,
    idleSince: NOW - 10_000,
    readyAt: NOW - 100_000,
    keepAliveMs: 60_000,
    stale: false,
    stuck: false,
    flags: [],
    pinned: false,
    launched: false,
    stateSince: NOW - 100_000,
    loadMs: 60_000,
    heat: 1,
    share: 1,
    residualShare: 0,
    ...overrides,
  };
}

export function requests(model: string, overrides: Partial<Demand> = {}): Demand {
  const since = overrides.since ?? NOW;
  return {
    id: `requests:${model}`,
    kind: "requests",
    why: "requests",
    request: { model },
    since,
    rank: since,
    waiting: 1,
    mayStart: true,
    ...overrides,
  };
}

/** A launch order. */
export function order(request: Demand["request"], wish?: Demand["wish"]): Demand {
  const since = NOW;
  const wished = wish === undefined ? {} : { wish };
  return {
    id: "order:1",
    kind: "order",
    why: "order",
    request,
    since,
    rank: since,
    waiting: 1,
    mayStart: true,
    ...wished,
  };
}

export function snapshot(
  overrides: Partial<FleetSnapshot> & { readonly runtime?: Partial<RuntimeSnapshot> } = {},
): FleetSnapshot {
  const { runtime, ...rest } = overrides;
  return {
    replicas: [],
    demands: [],
    runtimes: new Map([["docker", { known: true, placement: "gateway", gpus: GPUS, ...runtime }]]),
    defaultRuntime: "docker",
    recipes: ["a", "b", "c"].map((id) => makeRecipe({ id, gpus: 4 })),
    failures: new Map(),
    blocks: new Map(),
    scale: new Map(),
    policy: POLICY,
    ...rest,
  };
}
