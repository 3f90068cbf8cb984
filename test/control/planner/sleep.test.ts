import { describe, expect, it } from "vitest";
import { plan } from "../../../src/control/planner.ts";
import type { ReplicaSnapshot } from "../../../src/control/snapshot.ts";
import { GPUS, ids, NOW, order, POLICY, replica, requests, snapshot } from "../../support/make-snapshot.ts";
import { makeProfile, makeRecipe } from "../../support/make.ts";
import { decide } from "../../support/plan-words.ts";

const MINUTE = 60_000;
const GIB = 2 ** 30;
const RECIPES = ["a", "b", "c"].map((id) => makeRecipe({ id, gpus: 4 }));
/** Half of the usual machine. */
const HALF = { runtime: { gpus: GPUS.slice(0, 4) } };
const LADDER = { afterMs: 5 * MINUTE, level: 1, hostBytes: 10 * GIB } as const;

function sleeper(model: string, overrides: Partial<ReplicaSnapshot> = {}): ReplicaSnapshot {
  const asleep = { state: "sleeping", residualShare: 0.04, idleSince: NOW - 10 * MINUTE } as const;
  return replica(model, { ...asleep, gpus: ids(0, 4), sleep: LADDER, keepAliveMs: 60 * MINUTE, ...overrides });
}

/** Awake for long, used long ago. */
function idle(model: string, overrides: Partial<ReplicaSnapshot> = {}): ReplicaSnapshot {
  const since = { idleSince: NOW - 4 * MINUTE, readyAt: NOW - 60 * MINUTE };
  return replica(model, { ...since, gpus: ids(0, 4), sleep: LADDER, keepAliveMs: 60 * MINUTE, ...overrides });
}

describe("a ladder of idleness", () => {
  it("puts to sleep first, and says when to look again", () => {
    expect(decide({ recipes: RECIPES, replicas: [idle("a", { idleSince: NOW - 5 * MINUTE })] })).toEqual([
      "sleep a-1 (idle)",
    ]);
    const state = { recipes: RECIPES, replicas: [idle("a")] };
    expect(decide(state)).toEqual([]);
    expect(plan(snapshot(state), NOW).wakeAt).toBe(NOW + MINUTE);
  });

  it("unloads the sleeper when its time is over", () => {
    expect(decide({ recipes: RECIPES, replicas: [sleeper("a", { idleSince: NOW - 60 * MINUTE })] })).toEqual([
      "stop a-1 (idle)",
    ]);
  });

  it("leaves awake what the host has no memory for", () => {
    const replicas = [sleeper("b"), idle("a", { idleSince: NOW - 6 * MINUTE, gpus: ids(4, 8) })];
    expect(decide({ recipes: RECIPES, replicas, policy: { ...POLICY, sleepMemoryBytes: 15 * GIB } })).toEqual([]);
    expect(decide({ recipes: RECIPES, replicas, policy: { ...POLICY, sleepMemoryBytes: 20 * GIB } })).toEqual([
      "sleep a-1 (idle)",
    ]);
  });
});

describe("requests for a model that sleeps", () => {
  it("wake it, and start nothing", () => {
    const state = { recipes: RECIPES, replicas: [sleeper("a")], demands: [requests("a")] };
    expect(decide(state)).toEqual(["wake a-1 (requests)"]);
  });

  it("wait for one that is just falling asleep", () => {
    const dozing = sleeper("a", { state: "dozing" });
    const { actions, holds } = plan(snapshot({ recipes: RECIPES, replicas: [dozing], demands: [requests("a")] }), NOW);
    expect(actions).toEqual([]);
    expect(holds.get("requests:a")?.text).toMatch(/a-1 is just falling asleep/);
  });

  it("wait for one that is being woken", () => {
    expect(
      decide({ recipes: RECIPES, replicas: [sleeper("a", { state: "waking" })], demands: [requests("a")] }),
    ).toEqual([]);
  });

  it("send who is awake on its GPUs to sleep first", () => {
    const replicas = [sleeper("a"), idle("b")];
    expect(decide({ recipes: RECIPES, replicas, demands: [requests("a")] })).toEqual(["sleep b-1 (evicted)"]);
  });

  it("wait until that one sleeps", () => {
    const replicas = [sleeper("a"), idle("b", { state: "dozing" })];
    const { actions, holds } = plan(snapshot({ recipes: RECIPES, replicas, demands: [requests("a")] }), NOW);
    expect(actions).toEqual([]);
    expect(holds.get("requests:a")).toMatchObject({ why: "coming", text: expect.stringContaining("b-1") });
  });

  it("give it up for a start elsewhere when its GPUs are busy and others are free", () => {
    const replicas = [sleeper("a"), idle("b", { inFlight: 1 })];
    expect(decide({ recipes: RECIPES, replicas, demands: [requests("a")] })).toEqual([
      "stop a-1 (evicted)",
      "start a on 4",
    ]);
  });

  it("wait where all are busy", () => {
    const replicas = [sleeper("a"), idle("b", { inFlight: 1 }), idle("c", { inFlight: 1, gpus: ids(4, 8) })];
    const { actions, holds } = plan(snapshot({ recipes: RECIPES, replicas, demands: [requests("a")] }), NOW);
    expect(actions).toEqual([]);
    expect(holds.get("requests:a")?.why).toBe("busy");
  });

  it("wake the one that can be woken at once, rather than the one that was used last", () => {
    const second = sleeper("a", { name: "a-2", gpus: ids(4, 8), idleSince: NOW - 20 * MINUTE });
    const replicas = [sleeper("a"), idle("b", { inFlight: 1 }), second];
    expect(decide({ recipes: RECIPES, replicas, demands: [requests("a")] })).toEqual(["wake a-2 (requests)"]);
  });

  it("do not give it up where no other one would start at once", () => {
    const replicas = [sleeper("a"), idle("b", { inFlight: 1 })];
    const failure = { cause: "crashed", message: "", advice: "", lastLines: [], until: NOW + 7_000, count: 1 };
    const state = { recipes: RECIPES, replicas, demands: [requests("a")] };
    expect(decide({ ...state, failures: new Map([["a", failure]]) })).toEqual([]);
    const loading = replica("c", { state: "loading", waiting: 1 });
    const policy = { ...POLICY, maxStarts: 1 };
    expect(decide({ ...state, policy, replicas: [...replicas, loading] })).toEqual([]);
  });

  it("are refused, and leave it asleep, where its GPUs are kept by others and there are no more", () => {
    const kept = idle("b", { pinned: true, inFlight: 1 });
    expect(decide({ ...HALF, recipes: RECIPES, replicas: [sleeper("a"), kept], demands: [requests("a")] })).toEqual([
      "refuse a: no_capacity",
    ]);
  });

  it("have it woken, and not sent away for the next who wait for its GPUs", () => {
    const demands = [requests("a"), requests("b", { since: NOW + 1 })];
    expect(decide({ ...HALF, recipes: RECIPES, replicas: [sleeper("a")], demands })).toEqual(["wake a-1 (requests)"]);
  });

  it("an operator's launch is settled with it, woken", () => {
    const state = { recipes: RECIPES, replicas: [sleeper("a")], demands: [order({ model: "a" })] };
    expect(decide(state)).toEqual(["wake a-1 (order)", "settle with a-1"]);
  });
});

describe("beside a sleeper", () => {
  const alone = { recipes: RECIPES, runtime: { gpus: snapshot().runtimes.get("docker")?.gpus.slice(0, 4) ?? [] } };

  it("another model fits that leaves it what it keeps", () => {
    expect(decide({ ...alone, replicas: [sleeper("a")], demands: [requests("b")] })).toEqual(["start b on 4"]);
  });

  it("nobody is placed while other GPUs are free: it may have to be woken", () => {
    const { actions } = plan(snapshot({ recipes: RECIPES, replicas: [sleeper("a")], demands: [requests("b")] }), NOW);
    expect(actions).toMatchObject([{ kind: "start", gpus: ids(4, 8) }]);
  });

  it("others are placed with a word about it", () => {
    const { actions } = plan(snapshot({ ...alone, replicas: [sleeper("a")], demands: [requests("b")] }), NOW);
    expect(actions).toMatchObject([{ kind: "start", gpus: ids(0, 4) }]);
    const [start] = actions;
    expect(start?.kind === "start" && start.reasons.at(-1)).toContain(", beside a-1, which sleeps");
  });

  it("none fits that takes more: the sleeper goes", () => {
    const greedy = [
      makeRecipe({ id: "b", profiles: [makeProfile(4, { args: ["--gpu-memory-utilization", "0.97"] })] }),
    ];
    expect(decide({ ...alone, recipes: greedy, replicas: [sleeper("a")], demands: [requests("b")] })).toEqual([
      "stop a-1 (evicted)",
    ]);
  });

  it("one takes all where nobody sleeps", () => {
    const greedy = [
      makeRecipe({ id: "b", profiles: [makeProfile(4, { args: ["--gpu-memory-utilization", "0.97"] })] }),
    ];
    expect(decide({ ...alone, recipes: greedy, demands: [requests("b")] })).toEqual(["start b on 4"]);
  });
});

describe("beside a load", () => {
  const loading = idle("b", { state: "loading", waiting: 1 });

  it("no sleeper is unloaded: the memory that is measured is not to grow meanwhile", () => {
    const due = sleeper("a", { idleSince: NOW - 60 * MINUTE });
    expect(decide({ recipes: RECIPES, replicas: [due, loading] })).toEqual([]);
    expect(decide({ recipes: RECIPES, replicas: [{ ...due, stale: true }, loading] })).toEqual([]);
  });

  it("that is given up, the sleeper goes as well where both are in the way", () => {
    const unwanted = { ...loading, waiting: 0, idleSince: NOW - MINUTE };
    const greedy = makeRecipe({ id: "c", profiles: [makeProfile(8, { args: ["--gpu-memory-utilization", "0.97"] })] });
    const state = { recipes: [...RECIPES.slice(0, 2), greedy], replicas: [sleeper("a"), unwanted] };
    expect(decide({ ...state, demands: [requests("c")] }).toSorted()).toEqual([
      "stop a-1 (evicted)",
      "stop b-1 (unwanted)",
    ]);
  });

  it("there is none to be: nothing is started beside a sleeper that is just unloaded", () => {
    const due = sleeper("a", { idleSince: NOW - 60 * MINUTE });
    expect(decide({ ...HALF, recipes: RECIPES, replicas: [due], demands: [requests("b")] })).toEqual([
      "stop a-1 (idle)",
    ]);
  });
});

describe("a victim that can sleep", () => {
  const everything = { gpus: ids(0, 8) };
  const recipes = [...RECIPES, makeRecipe({ id: "d", gpus: 8 })];

  it("sleeps instead of being stopped", () => {
    expect(decide({ recipes, replicas: [idle("a", everything)], demands: [requests("d")] })).toEqual([
      "sleep a-1 (evicted)",
    ]);
    const { holds } = plan(snapshot({ recipes, replicas: [idle("a", everything)], demands: [requests("d")] }), NOW);
    expect(holds.get("requests:d")?.text).toBe("making room: putting a-1 to sleep");
  });

  it("is stopped where it was seen to keep too much, or the host has no memory for it", () => {
    const keeping = idle("a", { ...everything, residualShare: 0.3 });
    expect(decide({ recipes, replicas: [keeping], demands: [requests("d")] })).toEqual(["stop a-1 (evicted)"]);
    const policy = { ...POLICY, sleepMemoryBytes: GIB };
    expect(decide({ recipes, policy, replicas: [idle("a", everything)], demands: [requests("d")] })).toEqual([
      "stop a-1 (evicted)",
    ]);
  });

  it("is stopped when it does not answer: nothing can be asked of its engine", () => {
    const silent = idle("a", { ...everything, responsive: false });
    expect(decide({ recipes, replicas: [silent], demands: [requests("d")] })).toEqual(["stop a-1 (evicted)"]);
  });

  it("is drained and stopped while it is busy: only who is idle can sleep", () => {
    const busy = idle("a", { ...everything, inFlight: 1 });
    const demands = [requests("d", { since: NOW - 60 * MINUTE })];
    expect(decide({ recipes, replicas: [busy], demands })).toEqual(["stop a-1 (evicted)"]);
  });

  it("gives way after seconds of not being used, for it is back in seconds", () => {
    const used = idle("a", { ...everything, readyAt: NOW - 20_000, idleSince: NOW - 5_000 });
    expect(decide({ recipes, replicas: [used], demands: [requests("d")] })).toEqual(["sleep a-1 (evicted)"]);
  });
});
