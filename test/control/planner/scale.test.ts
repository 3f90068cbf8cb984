import { describe, expect, it } from "vitest";
import type { Demand, ReplicaSnapshot } from "../../../src/control/snapshot.ts";
import { ids, NOW, POLICY, replica, requests } from "../../support/make-snapshot.ts";
import { makeRecipe } from "../../support/make.ts";
import { decide } from "../../support/plan-words.ts";

const RECIPES = [makeRecipe({ id: "a", gpus: 2, replicas: { min: 1, max: 3 } }), makeRecipe({ id: "b", gpus: 6 })];
const wants = (replicas: number) => ({ recipes: RECIPES, scale: new Map([["a", { replicas, reason: "so it is" }]]) });

function serving(number: number, overrides: Partial<ReplicaSnapshot> = {}): ReplicaSnapshot {
  const gpus = ids(2 * number - 2, 2 * number);
  return replica("a", {
    name: `a-${number}`,
    gpus,
    profileId: "2_gpu",
    inFlight: 4,
    readyAt: NOW - 1_000 * number,
    ...overrides,
  });
}

describe("a model with more to do than its replicas should have", () => {
  it("gets one more at a time, on free GPUs", () => {
    expect(decide({ ...wants(3), replicas: [serving(1)] })).toEqual(["start a on 2"]);
    expect(decide({ ...wants(2), replicas: [serving(1), serving(2, { state: "loading", inFlight: 0 })] })).toEqual([]);
  });

  it("gets no more than its recipe allows", () => {
    expect(decide({ ...wants(9), replicas: [serving(1), serving(2), serving(3)] })).toEqual([]);
  });

  it("has its sleeping replica woken first", () => {
    const asleep = serving(2, { state: "sleeping", inFlight: 0, keepAliveMs: Infinity });
    expect(decide({ ...wants(2), replicas: [serving(1), asleep] })).toEqual(["wake a-2 (scale out)"]);
    expect(decide({ ...wants(2), replicas: [serving(1), { ...asleep, state: "dozing" }] })).toEqual([]);
  });

  it("gets the GPUs of who is not used, and of nobody who is", () => {
    const unused = replica("b", {
      gpus: ids(2, 8),
      profileId: "6_gpu",
      keepAliveMs: Infinity,
      idleSince: NOW - 300_000,
    });
    expect(decide({ ...wants(2), replicas: [serving(1), unused] })).toEqual(["stop b-1 (evicted)"]);
    expect(decide({ ...wants(2), replicas: [serving(1), { ...unused, inFlight: 1, readyAt: 0 }] })).toEqual([]);
    expect(decide({ ...wants(2), replicas: [serving(1), { ...unused, idleSince: NOW - 1_000 }] })).toEqual([
      "stop b-1 (evicted)",
    ]);
    const resident = { ...unused, idleSince: NOW - 1_000, readyAt: NOW - 2_000 };
    expect(decide({ ...wants(2), replicas: [serving(1), resident] })).toEqual([]);
  });

  it("takes none of its own for it", () => {
    const unused = serving(1, { inFlight: 0, idleSince: NOW - 1_000 });
    const others = replica("b", { gpus: ids(2, 8), profileId: "6_gpu", pinned: true });
    const recipes = [makeRecipe({ id: "a", gpus: 2, replicas: { min: 0, max: 3 } }), makeRecipe({ id: "b", gpus: 6 })];
    expect(decide({ ...wants(3), recipes, replicas: [unused, others] })).toEqual([]);
  });

  it("waits its turn where as many load as may", () => {
    const policy = { ...POLICY, maxStarts: 1 };
    const loading = replica("b", { state: "loading", gpus: ids(4, 6), waiting: 1 });
    expect(decide({ ...wants(2), policy, replicas: [serving(1), loading] })).toEqual([]);
  });
});

describe("a model for which fewer replicas are enough", () => {
  it("loses the one that has least to finish, of equals the youngest", () => {
    expect(decide({ ...wants(2), replicas: [serving(1), serving(2, { inFlight: 1 }), serving(3)] })).toEqual([
      "stop a-2 (scaled in)",
    ]);
    expect(decide({ ...wants(2), replicas: [serving(1), serving(2), serving(3)] })).toEqual(["stop a-1 (scaled in)"]);
  });

  it("keeps its minimum, what is pinned, and what an operator launched", () => {
    expect(decide({ ...wants(0), replicas: [serving(1)] })).toEqual([]);
    const kept = [serving(1, { pinned: true }), serving(2, { launched: true })];
    expect(decide({ ...wants(1), replicas: kept })).toEqual([]);
  });
});

describe("a recipe's minimum", () => {
  it("has nobody woken beside a start of the same plan", () => {
    const recipes = [makeRecipe({ id: "a", gpus: 2, replicas: { min: 2, max: 3 } })];
    const asleep = serving(1, { state: "sleeping", inFlight: 0 });
    const wanted: Demand = { ...requests("a"), kind: "wanted", why: "preload" };
    expect(decide({ recipes, replicas: [asleep], demands: [wanted] })).toEqual(["start a on 2"]);
  });

  it("has nobody woken twice", () => {
    const recipes = [makeRecipe({ id: "a", gpus: 0, replicas: { min: 1, max: 1 } })];
    const asleep = serving(1, { state: "sleeping", inFlight: 0, gpus: [], profileId: "0_gpu", waiting: 1 });
    expect(decide({ recipes, replicas: [asleep], demands: [requests("a")] })).toEqual(["wake a-1 (requests)"]);
  });
});
