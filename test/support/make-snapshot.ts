// What the planner sees, with only what a test cares about spelt out: a docker runtime with eight GPUs, and recipes a, b and c
// that take four each.
import type { Demand, FleetSnapshot, ReplicaSnapshot, RuntimeSnapshot } from "../../src/control/snapshot.ts";
import { makeGpus, makeRecipe } from "./make.ts";

export const NOW = 1_000_000;
export const GPUS = makeGpus(8);

/** Of GPUS, from one number up to but not including another. */
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
    ...overrides,
  };
}

export function requests(model: string, overrides: Partial<Demand> = {}): Demand {
  return { id: `requests:${model}`, kind: "requests", request: { model }, since: NOW, waiting: 1, ...overrides };
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
    ...rest,
  };
}
