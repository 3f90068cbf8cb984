import { describe, expect, it } from "vitest";
import { plan } from "../../../src/control/planner.ts";
import type { ReplicaSnapshot } from "../../../src/control/snapshot.ts";
import { GPUS, ids, NOW, replica, requests, snapshot } from "../../support/make-snapshot.ts";
import { makeProfile, makeRecipe } from "../../support/make.ts";
import { decide } from "../../support/plan-words.ts";

const MINUTE = 60_000;
const ONE_CARD = { runtime: { gpus: GPUS.slice(0, 1) } };
const sharing = (id: string, gpuFraction: number) =>
  makeRecipe({ id, profiles: [makeProfile(1, { gpuFraction })], replicas: { min: 0, max: 4 } });
const RECIPES = [sharing("a", 0.5), sharing("b", 0.4), sharing("c", 0.3), makeRecipe({ id: "whole", gpus: 1 })];

function sharer(model: string, share: number, overrides: Partial<ReplicaSnapshot> = {}): ReplicaSnapshot {
  const long = { readyAt: NOW - 60 * MINUTE, idleSince: NOW - 30 * MINUTE, keepAliveMs: Infinity };
  return replica(model, { ...long, gpus: ids(0, 1), profileId: "1_gpu", share, ...overrides });
}

describe("shares of a GPU", () => {
  it("are given out up to the whole of it", () => {
    const replicas = [sharer("a", 0.5)];
    expect(decide({ ...ONE_CARD, recipes: RECIPES, replicas, demands: [requests("b")] })).toEqual(["start b on 1"]);
  });

  it("beyond that are had from who goes, and from no more than needed", () => {
    const replicas = [sharer("a", 0.5, { heat: 9 }), sharer("b", 0.4, { heat: 1 })];
    expect(decide({ ...ONE_CARD, recipes: RECIPES, replicas, demands: [requests("c")] })).toEqual([
      "stop b-1 (evicted)",
    ]);
  });

  it("are started one after the other on one card", () => {
    const state = { ...ONE_CARD, recipes: RECIPES, demands: [requests("a"), requests("b")] };
    expect(decide(state)).toEqual(["start a on 1"]);
    const replicas = [sharer("a", 0.5, { state: "loading", waiting: 1 })];
    const { actions, holds } = plan(snapshot({ ...state, replicas, demands: [requests("b")] }), NOW);
    expect(actions).toEqual([]);
    expect(holds.get("requests:b")?.why).toBe("coming");
  });

  it("are had of a card that is shared already, which leaves whole ones to others", () => {
    const two = { runtime: { gpus: GPUS.slice(0, 2) }, recipes: RECIPES };
    const replicas = [sharer("a", 0.5, { gpus: ids(1, 2) })];
    const { actions } = plan(snapshot({ ...two, replicas, demands: [requests("b")] }), NOW);
    expect(actions).toMatchObject([{ kind: "start", gpus: ids(1, 2) }]);
  });

  it("are had from one who is not used, rather than from a cheaper one that is", () => {
    const replicas = [sharer("a", 0.5, { heat: 0.9 }), sharer("b", 0.4, { heat: 0, inFlight: 1 })];
    expect(decide({ ...ONE_CARD, recipes: RECIPES, replicas, demands: [requests("c")] })).toEqual([
      "stop a-1 (evicted)",
    ]);
  });

  it("are had from the one who has enough, and a cheaper one who has not stays", () => {
    const recipes = [...RECIPES, sharing("d", 0.6)];
    const replicas = [sharer("c", 0.3, { heat: 0 }), sharer("d", 0.6, { heat: 0.9 })];
    expect(decide({ ...ONE_CARD, recipes, replicas, demands: [requests("a")] })).toEqual(["stop d-1 (evicted)"]);
  });

  it("are had from one beside whom nobody loads, rather than from a cheaper one who has to stay for that", () => {
    const runtime = { gpus: GPUS.slice(0, 2) };
    const asleep = { state: "sleeping", residualShare: 0.3 } as const;
    const loading = sharer("b", 0.4, { state: "loading", waiting: 1, gpus: ids(1, 2) });
    const both = sharer("a", 0.5, { ...asleep, gpus: ids(0, 2), idleSince: NOW - 50 * MINUTE });
    const recipes = [...RECIPES, sharing("d", 0.5), sharing("e", 0.5)];
    const replicas = [sharer("d", 0.5, asleep), both, loading];
    expect(decide({ runtime, recipes, replicas, demands: [requests("e")] })).toEqual(["stop d-1 (evicted)"]);
  });

  it.each(["stopping", "failed", "dozing"] as const)("are not started beside one that is %s", (state) => {
    const scene = { ...ONE_CARD, recipes: RECIPES, replicas: [sharer("a", 0.5, { state })], demands: [requests("b")] };
    const { actions, holds } = plan(snapshot(scene), NOW);
    expect(actions).toEqual([]);
    expect(holds.get("requests:b")).toMatchObject({ why: "coming", text: expect.stringContaining("a-1") });
  });

  it("are started beside one that cannot be taken down", () => {
    const replicas = [sharer("a", 0.5, { state: "stopping", stuck: true })];
    expect(decide({ ...ONE_CARD, recipes: RECIPES, replicas, demands: [requests("b")] })).toEqual(["start b on 1"]);
  });

  it("are waited for where one who is kept and one who just comes have them, and not refused", () => {
    const recipes = [...RECIPES, sharing("d", 0.5)];
    const replicas = [sharer("a", 0.5, { pinned: true })];
    const state = { ...ONE_CARD, recipes, replicas, demands: [requests("b"), requests("d")] };
    expect(decide(state)).toEqual(["start b on 1"]);
    expect(plan(snapshot(state), NOW).holds.get("requests:d")?.why).toBe("busy");
  });

  it("are started side by side on two cards", () => {
    const two = { runtime: { gpus: GPUS.slice(0, 2) } };
    expect(decide({ ...two, recipes: RECIPES, demands: [requests("a"), requests("b")] })).toEqual([
      "start a on 1",
      "start b on 1",
    ]);
  });

  it("are taken down for idleness only when nobody loads beside them", () => {
    const due = sharer("a", 0.5, { keepAliveMs: MINUTE });
    const loading = sharer("b", 0.4, { state: "loading", waiting: 1 });
    expect(decide({ ...ONE_CARD, recipes: RECIPES, replicas: [due, loading] })).toEqual([]);
    expect(decide({ ...ONE_CARD, recipes: RECIPES, replicas: [due] })).toEqual(["stop a-1 (idle)"]);
  });

  it("are had from nobody beside whom another one loads", () => {
    const replicas = [sharer("a", 0.5), sharer("b", 0.4, { state: "loading", waiting: 1 })];
    expect(decide({ ...ONE_CARD, recipes: RECIPES, replicas, demands: [requests("c")] })).toEqual([]);
  });

  it("leave no room for one that wants the whole card: all of them go", () => {
    const replicas = [sharer("a", 0.5), sharer("b", 0.4)];
    expect(decide({ ...ONE_CARD, recipes: RECIPES, replicas, demands: [requests("whole")] })).toEqual([
      "stop a-1 (evicted)",
      "stop b-1 (evicted)",
    ]);
  });

  it("are had from nobody who has the whole card and is busy", () => {
    const replicas = [sharer("whole", 1, { inFlight: 1 })];
    expect(decide({ ...ONE_CARD, recipes: RECIPES, replicas, demands: [requests("a")] })).toEqual([]);
  });
});
