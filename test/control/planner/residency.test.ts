import { describe, expect, it } from "vitest";
import { plan } from "../../../src/control/planner.ts";
import type { ReplicaSnapshot } from "../../../src/control/snapshot.ts";
import { ids, NOW, order, POLICY, replica, requests, snapshot } from "../../support/make-snapshot.ts";
import { makeRecipe } from "../../support/make.ts";
import { decide } from "../../support/plan-words.ts";

const MINUTE = 60_000;
const POLICY_5_8 = { ...POLICY, minResidencyMs: 5 * MINUTE, maxWaitMs: 8 * MINUTE };

/** It has all GPUs, was asked something a second ago, and took a minute to load. */
function holder(overrides: Partial<ReplicaSnapshot> = {}): ReplicaSnapshot {
  return replica("a", {
    gpus: ids(0, 8),
    readyAt: NOW - MINUTE,
    idleSince: NOW - 1_000,
    loadMs: MINUTE,
    keepAliveMs: Infinity,
    ...overrides,
  });
}

const RECIPES = ["a", "b"].map((id) => makeRecipe({ id, gpus: 8 }));

function meeting(one: ReplicaSnapshot, since = NOW, policy = POLICY_5_8) {
  return { recipes: RECIPES, replicas: [one], demands: [requests("b", { since })], policy };
}

describe("a model that is used now and then", () => {
  it("keeps its GPUs for its residency, and it is said until when", () => {
    const state = meeting(holder());
    expect(decide(state)).toEqual([]);
    const { holds, wakeAt } = plan(snapshot(state), NOW);
    expect(holds.get("requests:b")).toMatchObject({ why: "resident", until: NOW - MINUTE + 5 * MINUTE });
    // If it is not used for as long as its load takes it gives way sooner, which is looked at, and promised to nobody.
    expect(wakeAt).toBe(NOW - 1_000 + MINUTE);
  });

  it("is expected to serve for its residency after its load", () => {
    const loading = holder({ state: "loading", waiting: 1, stateSince: NOW - 20_000 });
    const { holds } = plan(snapshot(meeting(loading)), NOW);
    expect(holds.get("requests:b")).toMatchObject({ why: "busy", until: NOW + 40_000 + 5 * MINUTE });
  });

  it("gives way at once when its residency is over", () => {
    expect(decide(meeting(holder({ readyAt: NOW - 5 * MINUTE })))).toEqual(["stop a-1 (evicted)"]);
    expect(decide(meeting(holder({ readyAt: NOW - 5 * MINUTE + 1 })))).toEqual([]);
  });

  it("gives way when it has not been used for as long as its load takes: keeping it would cost more", () => {
    expect(decide(meeting(holder({ readyAt: NOW - 2 * MINUTE, idleSince: NOW - MINUTE })))).toEqual([
      "stop a-1 (evicted)",
    ]);
  });

  it("gives way a moment after its last answer when it is not likely to be asked for again before it could be back", () => {
    const unlikely = (idleMs: number) => meeting(holder({ heat: 0.9, readyAt: NOW - MINUTE, idleSince: NOW - idleMs }));
    expect(decide(unlikely(5_000))).toEqual(["stop a-1 (evicted)"]);
    expect(decide(unlikely(4_999))).toEqual([]);
    expect(plan(snapshot(unlikely(4_000)), NOW).wakeAt).toBe(NOW + 1_000);
    const light = (idleMs: number) => meeting(holder({ loadMs: 600, readyAt: NOW - 1_000, idleSince: NOW - idleMs }));
    expect(decide(light(100))).toEqual(["stop a-1 (evicted)"]);
    expect(decide(light(99))).toEqual([]);
  });

  it("is looked at again at a whole millisecond, so that the clock gets there", () => {
    const third = holder({ loadMs: 1_000, readyAt: NOW - 1_000, idleSince: NOW - 10 });
    expect(plan(snapshot(meeting(third)), NOW).wakeAt).toBe(NOW - 10 + 167);
  });

  it("shares its residency with all who wait, and has one load's time at least", () => {
    const recipes = ["a", "b", "c", "d"].map((id) => makeRecipe({ id, gpus: 8 }));
    const demands = ["b", "c", "d"].map((id) => requests(id));
    const since = (readyAt: number) => ({ ...meeting(holder({ readyAt })), recipes, demands });
    expect(decide(since(NOW - (5 * MINUTE) / 3))).toEqual(["stop a-1 (evicted)"]);
    expect(decide(since(NOW - (5 * MINUTE) / 3 + 1))).toEqual([]);
    const many = Array.from({ length: 30 }, (_, index) => `m${index}`);
    const crowd = {
      ...meeting(holder({ readyAt: NOW - MINUTE + 1 })),
      recipes: [...recipes, ...many.map((id) => makeRecipe({ id, gpus: 8 }))],
      demands: many.map((id) => requests(id)),
    };
    expect(decide(crowd)).toEqual([]);
  });

  it("has a residency of eight loads where its load is short", () => {
    const quick = { loadMs: 2_000, heat: 60, idleSince: NOW - 1_000 };
    expect(decide(meeting(holder({ ...quick, readyAt: NOW - 16_000 })))).toEqual(["stop a-1 (evicted)"]);
    expect(decide(meeting(holder({ ...quick, readyAt: NOW - 15_999 })))).toEqual([]);
  });

  it("gives way to an operator's launch at once", () => {
    expect(decide({ ...meeting(holder()), demands: [order({ model: "b" })] })).toEqual(["stop a-1 (evicted)"]);
  });

  it("gives way to nobody who only ought to run", () => {
    const demands = [{ ...requests("b"), kind: "wanted", why: "preload" } as const];
    expect(decide({ ...meeting(holder({ readyAt: NOW - 9 * MINUTE })), demands })).toEqual([]);
  });
});

describe("a model that is in use all the time", () => {
  const busy = { inFlight: 3, readyAt: NOW - 8 * MINUTE };

  it("is drained when somebody has waited for the longest time, and not before", () => {
    expect(decide(meeting(holder(busy), NOW - 8 * MINUTE))).toEqual(["stop a-1 (evicted)"]);
    expect(decide(meeting(holder(busy), NOW - 8 * MINUTE + 1))).toEqual([]);
  });

  it("also when it is only waited for: nothing is in flight between two requests", () => {
    expect(decide(meeting(holder({ ...busy, inFlight: 0, waiting: 2 }), NOW - 8 * MINUTE))).toEqual([
      "stop a-1 (evicted)",
    ]);
  });

  it("stays for as long as its load took, however long others have waited: else all would only load", () => {
    const fresh = holder({ ...busy, readyAt: NOW - MINUTE + 1 });
    expect(decide(meeting(fresh, NOW - 20 * MINUTE))).toEqual([]);
    expect(plan(snapshot(meeting(fresh, NOW - 20 * MINUTE)), NOW).wakeAt).toBe(NOW + 1);
  });

  it("is never drained for an operator's launch", () => {
    const waited = order({ model: "b" });
    expect(decide({ ...meeting(holder(busy)), demands: [{ ...waited, since: NOW - 60 * MINUTE }] })).toEqual([]);
  });
});

describe("a load", () => {
  const loading = { state: "loading", readyAt: 0, stateSince: NOW - 30_000 } as const;

  it("that nobody has waited for for a while is given up when its GPUs are needed", () => {
    expect(decide(meeting(holder({ ...loading, idleSince: NOW - 15_000 })))).toEqual(["stop a-1 (unwanted)"]);
  });

  it("goes on while its client may just be asking again", () => {
    const state = meeting(holder({ ...loading, idleSince: NOW - 14_000 }));
    expect(decide(state)).toEqual([]);
    expect(plan(snapshot(state), NOW).wakeAt).toBe(NOW + 1_000);
  });

  it("goes on while somebody waits for it, an operator launched it, or the policy says so", () => {
    const unwanted = { ...loading, idleSince: NOW - MINUTE };
    expect(decide(meeting(holder({ ...unwanted, waiting: 1 })))).toEqual([]);
    expect(decide(meeting(holder({ ...unwanted, launched: true })))).toEqual([]);
    expect(decide(meeting(holder(unwanted), NOW, { ...POLICY_5_8, abortsUnwanted: false }))).toEqual([]);
  });
});

describe("pinned replicas", () => {
  it("are neither evicted nor unloaded, and it is said that there will be no room", () => {
    const pinned = holder({ pinned: true, idleSince: NOW - 60 * MINUTE, readyAt: NOW - 90 * MINUTE, keepAliveMs: 1 });
    expect(decide({ recipes: RECIPES, replicas: [pinned] })).toEqual([]);
    expect(decide(meeting(pinned))).toEqual(["refuse b: no_capacity"]);
  });

  it("come up although nobody waits for them: what ought to run is not begun twice", () => {
    const loading = holder({ pinned: true, state: "loading", readyAt: 0, idleSince: NOW - MINUTE });
    expect(decide(meeting(loading))).toEqual(["refuse b: no_capacity"]);
  });

  it("go when their recipe has changed", () => {
    expect(decide({ recipes: RECIPES, replicas: [holder({ pinned: true, stale: true })] })).toEqual([
      "stop a-1 (stale)",
    ]);
  });
});

describe("one that drains without end", () => {
  const draining = (stateSince: number) => holder({ gpus: ids(0, 4), state: "draining", inFlight: 1, stateSince });
  const recipes = [...RECIPES, makeRecipe({ id: "c", gpus: 4 })];
  const demands = [requests("b", { since: NOW - 1 }), requests("c")];

  it("keeps the free GPUs for who waits for its own, for a while", () => {
    expect(decide({ recipes, demands, replicas: [draining(NOW - 1_000)], policy: POLICY_5_8 })).toEqual([]);
  });

  it("is looked at again after that, if nothing happens before", () => {
    const { wakeAt } = plan(snapshot({ recipes, demands, replicas: [draining(NOW - 1_000)], policy: POLICY_5_8 }), NOW);
    expect(wakeAt).toBe(NOW - 1_000 + 8 * MINUTE);
  });

  it("keeps nobody else off them after that", () => {
    expect(decide({ recipes, demands, replicas: [draining(NOW - 8 * MINUTE)], policy: POLICY_5_8 })).toEqual([
      "start c on 4",
    ]);
  });
});

describe("the limit of starts", () => {
  const policy = { ...POLICY_5_8, maxStarts: 1 };
  const recipes = ["a", "b", "c"].map((id) => makeRecipe({ id, gpus: 1 }));

  it("holds what comes after it, and says so", () => {
    const state = { recipes, policy, demands: [requests("a"), requests("b")] };
    expect(decide(state)).toEqual(["start a on 1"]);
    expect(plan(snapshot(state), NOW).holds.get("requests:b")?.why).toBe("limit");
  });

  it("counts what loads already", () => {
    const replicas = [replica("c", { state: "loading", gpus: ids(0, 1), waiting: 1 })];
    expect(decide({ recipes, policy, replicas, demands: [requests("a")] })).toEqual([]);
  });
});

describe("those who may not start anything", () => {
  it("are held, and told apart", () => {
    const demands = [requests("a", { mayStart: false })];
    const { actions, holds } = plan(snapshot({ demands }), NOW);
    expect(actions).toEqual([]);
    expect(holds.get("requests:a")?.why).toBe("asleep");
  });
});
