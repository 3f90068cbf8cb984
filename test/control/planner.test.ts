import { describe, expect, it } from "vitest";
import type { GpuBlock } from "../../src/control/fleet/gpus.ts";
import { plan } from "../../src/control/planner.ts";
import type { Demand, ReplicaSnapshot } from "../../src/control/snapshot.ts";
import { GPUS, ids, NOW, order, replica, requests, snapshot } from "../support/make-snapshot.ts";
import { makeGpus, makeProfile, makeRecipe } from "../support/make.ts";
import { decide, inWords } from "../support/plan-words.ts";

describe("requests for a model", () => {
  it("start one replica on free GPUs, with a reason", () => {
    const { actions } = plan(snapshot({ demands: [requests("a", { waiting: 100 })] }), NOW);
    expect(actions).toMatchObject([{ kind: "start", gpus: ids(0, 4), reason: "100 waiting for a" }]);
  });

  it.each(["pending", "pulling", "starting", "loading", "ready"] as const)(
    "start no second one while one is %s",
    (state) => {
      expect(
        decide({ demands: [requests("a")], replicas: [replica("a", { state, gpus: ids(0, 4), waiting: 1 })] }),
      ).toEqual([]);
    },
  );

  it.each(["draining", "stopping", "failed"] as const)("start another one while one is %s", (state) => {
    const leaving = replica("a", { state, gpus: ids(0, 4), waiting: 1 });
    expect(decide({ demands: [requests("a")], replicas: [leaving] })).toEqual(["start a on 4"]);
  });

  it("start another one when the one there does not answer", () => {
    const silent = replica("a", { responsive: false, gpus: ids(0, 4), waiting: 1 });
    expect(decide({ demands: [requests("a")], replicas: [silent] })).toEqual(["start a on 4"]);
  });

  it("of two models get different GPUs in one plan", () => {
    const { actions } = plan(snapshot({ demands: [requests("a"), requests("b")] }), NOW);
    expect(actions).toMatchObject([{ gpus: ids(0, 4) }, { gpus: ids(4, 8) }]);
  });

  it("wait until the runtime was listed once", () => {
    const { actions, holds } = plan(snapshot({ demands: [requests("a")], runtime: { known: false, gpus: [] } }), NOW);
    expect(actions).toEqual([]);
    expect(holds.get("requests:a")?.text).toContain("already run");
  });

  it("are refused at once while its recipe backs off, and told for how long", () => {
    const failure = {
      cause: "crashed",
      message: "a could not be started",
      advice: "",
      lastLines: [],
      until: NOW + 7_000,
      count: 1,
    };
    const { actions } = plan(snapshot({ demands: [requests("a")], failures: new Map([["a", failure]]) }), NOW);
    expect(actions).toMatchObject([{ kind: "refuse", error: { code: "model_start_failed", retryAfterMs: 7_000 } }]);
  });

  it.each([
    ["the runtime is away", { runtime: { unavailable: "cannot reach Docker" } }, "runtime_unavailable"],
    ["the machine is too small", { runtime: { gpus: makeGpus(2) } }, "model_unavailable"],
    [
      "no GPU is of the right kind",
      { recipes: [makeRecipe({ id: "a", gpus: 4, hardware: ["MI250X"] })] },
      "model_unavailable",
    ],
    [
      "two recipes are equally good",
      { recipes: [makeRecipe({ id: "x", model: "a" }), makeRecipe({ id: "y", model: "a" })] },
      "model_unavailable",
    ],
  ])("are refused when %s", (_, state, code) => {
    expect(decide({ ...state, demands: [requests("a")] })).toEqual([`refuse a: ${code}`]);
  });
});

describe("making room", () => {
  const a = replica("a", { gpus: ids(0, 4), idleSince: NOW - 20_000 });
  const b = replica("b", { gpus: ids(4, 8), idleSince: NOW - 10_000 });

  it("stops the least recently used idle replica, and holds the demand", () => {
    const { actions, holds } = plan(snapshot({ demands: [requests("c")], replicas: [a, b] }), NOW);
    expect(actions.map(inWords)).toEqual(["stop a-1 (evicted)"]);
    expect(holds.get("requests:c")?.text).toContain("a-1");
  });

  it("never stops one that is busy, or that others wait for", () => {
    const busy = { ...a, inFlight: 1 };
    const wanted = { ...b, waiting: 3 };
    const { actions, holds } = plan(snapshot({ demands: [requests("c")], replicas: [busy, wanted] }), NOW);
    expect(actions).toEqual([]);
    expect(holds.get("requests:c")?.text).toContain("busy");
  });

  it("waits for nobody who cannot be taken down: others go instead, or it is refused", () => {
    const stuck = replica("a", { state: "stopping", stuck: true, gpus: ids(0, 4) });
    const idle = replica("b", { gpus: ids(4, 8) });
    expect(decide({ demands: [requests("c")], replicas: [stuck, idle] })).toEqual(["stop b-1 (evicted)"]);
    const recipes = [
      makeRecipe({ id: "a", gpus: 4 }),
      makeRecipe({ id: "whale", gpus: 8 }),
      makeRecipe({ id: "c", gpus: 4 }),
    ];
    const demands = [requests("whale", { since: NOW - 100_000 }), requests("c")];
    const { actions } = plan(snapshot({ recipes, demands, replicas: [stuck] }), NOW);
    expect(actions.map(inWords)).toEqual(["refuse whale: no_capacity", "start c on 4"]);
    expect(actions[0]?.reason).toMatch(/too many are kept by a-1/);
  });

  it("waits for GPUs that come back anyway instead of evicting more", () => {
    const leaving = { ...a, state: "stopping" as const };
    const { actions, holds } = plan(snapshot({ demands: [requests("c")], replicas: [leaving, b] }), NOW);
    expect(actions).toEqual([]);
    expect(holds.get("requests:c")?.text).toContain("a-1");
  });

  it("counts on what is stopped for other reasons in the same plan", () => {
    const due = { ...b, idleSince: NOW - 60_000 };
    const { actions } = plan(snapshot({ demands: [requests("c")], replicas: [a, due] }), NOW);
    expect(actions.map(inWords)).toEqual(["stop b-1 (idle)"]);
  });

  it("stops no more than what is missing besides what comes back anyway", () => {
    const recipes = [...["a", "b"].map((id) => makeRecipe({ id, gpus: 2 })), makeRecipe({ id: "c", gpus: 6 })];
    const leaving = replica("c", { state: "stopping", gpus: ids(0, 4) });
    const idle = [replica("a", { gpus: ids(4, 6), idleSince: NOW - 20_000 }), replica("b", { gpus: ids(6, 8) })];
    expect(decide({ recipes, demands: [requests("c")], replicas: [leaving, ...idle] })).toEqual(["stop a-1 (evicted)"]);
  });

  it("spares those that turn out not to be needed", () => {
    const small = replica("a", { gpus: ids(0, 1), idleSince: NOW - 30_000 });
    const large = replica("b", { gpus: ids(1, 8), idleSince: NOW - 20_000 });
    expect(decide({ demands: [requests("c")], replicas: [small, large] })).toEqual(["stop b-1 (evicted)"]);
  });

  it("keeps what is free for the one that waits, so that a smaller one does not overtake it for ever", () => {
    const recipes = [
      makeRecipe({ id: "a", gpus: 6 }),
      makeRecipe({ id: "b", gpus: 8 }),
      makeRecipe({ id: "c", gpus: 2 }),
    ];
    const idle = replica("a", { gpus: ids(0, 6) });
    const demands = [requests("b", { since: NOW - 5 }), requests("c")];
    expect(decide({ recipes, replicas: [idle], demands })).toEqual(["stop a-1 (evicted)"]);
  });

  it("for two demands stops a replica for each, and not the same one for both", () => {
    const recipes = ["a", "b", "c", "d"].map((id) => makeRecipe({ id, gpus: 4 }));
    const demands = [requests("c", { since: NOW - 5 }), requests("d")];
    expect(decide({ recipes, demands, replicas: [a, b] })).toEqual(["stop a-1 (evicted)", "stop b-1 (evicted)"]);
    const leaving = { ...a, state: "stopping" as const };
    expect(decide({ recipes, demands, replicas: [leaving, b] })).toEqual(["stop b-1 (evicted)"]);
  });

  it("spares the minimum of a recipe, and says that there will be no room", () => {
    const recipes = [makeRecipe({ id: "a", gpus: 8, replicas: { min: 1, max: 1 } }), makeRecipe({ id: "c", gpus: 4 })];
    const kept = replica("a", { gpus: ids(0, 8) });
    expect(decide({ recipes, replicas: [kept], demands: [requests("c")] })).toEqual(["refuse c: no_capacity"]);
  });

  it("never takes a recipe below its minimum, however many of its replicas are idle", () => {
    const kept = [makeRecipe({ id: "a", gpus: 4, replicas: { min: 1, max: 2 } }), makeRecipe({ id: "b", gpus: 8 })];
    const replicas = [1, 2].map((number) =>
      replica("a", { name: `a-${number}`, gpus: ids(4 * number - 4, 4 * number), keepAliveMs: Infinity }),
    );
    expect(decide({ recipes: kept, replicas, demands: [requests("b")] })).toEqual(["refuse b: no_capacity"]);
  });

  it("takes GPUs of one kind for one replica", () => {
    const gpus = [...makeGpus(2, "MI300X"), ...makeGpus(4, "MI250X").map((gpu) => ({ ...gpu, id: `x${gpu.id}` }))];
    const { actions } = plan(snapshot({ demands: [requests("a")], runtime: { gpus } }), NOW);
    expect(actions).toMatchObject([{ kind: "start", gpus: gpus.slice(2).map((gpu) => gpu.id) }]);
  });
});

describe("fairness", () => {
  const recipes = [
    makeRecipe({ id: "a", gpus: 4 }),
    makeRecipe({ id: "b", gpus: 4 }),
    makeRecipe({ id: "c", gpus: 8 }),
  ];
  const busy = (name: string, overrides: Partial<ReplicaSnapshot> = {}) => replica(name, { inFlight: 3, ...overrides });
  const both = [busy("a", { gpus: ids(0, 4) }), busy("b", { gpus: ids(4, 8), inFlight: 0, keepAliveMs: Infinity })];
  const patient = requests("c", { since: NOW - 60_000 });

  it("lets busy models finish and give way once somebody has waited long", () => {
    expect(decide({ recipes, replicas: both, demands: [patient] })).toEqual([
      "stop b-1 (evicted)",
      "stop a-1 (evicted)",
    ]);
  });

  it("has the one give way first that has served longest", () => {
    const small = [...recipes.slice(0, 2), makeRecipe({ id: "c", gpus: 4 })];
    const replicas = [busy("a", { gpus: ids(0, 4) }), busy("b", { gpus: ids(4, 8), readyAt: NOW - 200_000 })];
    expect(decide({ recipes: small, replicas, demands: [patient] })).toEqual(["stop b-1 (evicted)"]);
  });

  it("looks again when the wait is long enough, and not before", () => {
    const { actions, wakeAt } = plan(
      snapshot({ recipes, replicas: both, demands: [requests("c", { since: NOW - 1 })] }),
      NOW,
    );
    expect([actions, wakeAt]).toEqual([[], NOW + 59_999]);
  });

  it("leaves a model its time, too", () => {
    const young = [busy("a", { gpus: ids(0, 4), readyAt: NOW - 20_000 }), busy("b", { gpus: ids(4, 8) })];
    const { actions, wakeAt } = plan(snapshot({ recipes, replicas: young, demands: [patient] }), NOW);
    expect([actions, wakeAt]).toEqual([[], NOW + 40_000]);
  });

  it("keeps what becomes free for the one that has waited long", () => {
    const one = [busy("a", { gpus: ids(0, 4), readyAt: NOW })];
    expect(decide({ recipes, replicas: one, demands: [requests("c"), requests("b")] })).toEqual(["start b on 4"]);
    expect(decide({ recipes, replicas: one, demands: [patient, requests("b")] })).toEqual([]);
  });

  it("never counts for an operator's launch, which may be given up", () => {
    const order: Demand = { ...patient, id: "order:1", kind: "order" };
    expect(decide({ recipes, replicas: both, demands: [order] })).toEqual([]);
  });

  it("never takes what a recipe's minimum needs", () => {
    const kept = [makeRecipe({ id: "a", gpus: 4, replicas: { min: 1, max: 1 } }), ...recipes.slice(1)];
    expect(decide({ recipes: kept, replicas: both, demands: [patient] })).toEqual(["refuse c: no_capacity"]);
  });
});

describe("idle replicas", () => {
  it("are stopped when their keep-alive is over, and until then the planner says when to look again", () => {
    const due = replica("a", { idleSince: NOW - 60_000 });
    const soon = replica("b", { idleSince: NOW - 20_000 });
    const { actions, wakeAt } = plan(snapshot({ replicas: [due, soon] }), NOW);
    expect(actions).toMatchObject([
      { kind: "stop", replica: "a-1", cause: "idle", reason: "idle for 1m (keep-alive 1m)" },
    ]);
    expect(wakeAt).toBe(NOW + 40_000);
  });

  it.each([
    ["busy", { inFlight: 1 }],
    ["waited for", { waiting: 1 }],
    ["loading", { state: "loading" as const }],
    ["kept for ever", { keepAliveMs: Infinity }],
  ])("are not touched while %s", (_, overrides) => {
    const { actions, wakeAt } = plan(snapshot({ replicas: [replica("a", { idleSince: 0, ...overrides })] }), NOW);
    expect(actions).toEqual([]);
    expect(wakeAt).toBeUndefined();
  });

  it("stay while their runtime is away, which could not stop them", () => {
    const due = [replica("a", { idleSince: 0 }), replica("b", { stale: true })];
    expect(plan(snapshot({ replicas: due, runtime: { unavailable: "cannot reach Docker" } }), NOW).actions).toEqual([]);
    expect(plan(snapshot({ replicas: due }), NOW).actions).toHaveLength(2);
  });

  it("go at once when their recipe has changed or is gone", () => {
    expect(decide({ replicas: [replica("a", { stale: true, idleSince: NOW })] })).toEqual(["stop a-1 (stale)"]);
  });
});

describe("a launch order", () => {
  const recipes = [makeRecipe({ id: "a", profiles: [makeProfile(1), makeProfile(4, { isDefault: false })] })];

  it("gets exactly the GPU count it asks for", () => {
    expect(decide({ recipes, demands: [order({ model: "a", gpus: 4 })] })).toEqual(["start a on 4"]);
    expect(decide({ recipes, demands: [order({ model: "a", gpus: 2 })] })).toEqual(["refuse a: model_unavailable"]);
  });

  it("is fulfilled by a replica that is as ordered", () => {
    const running = replica("a", { profileId: "4_gpu", gpus: ids(0, 4) });
    expect(decide({ recipes, replicas: [running], demands: [order({ model: "a", gpus: 4 })] })).toEqual([
      "settle with a-1",
    ]);
  });

  it("that the recipe's maximum forbids is refused, naming what is in the way", () => {
    const running = replica("a", { profileId: "1_gpu", gpus: ids(0, 1) });
    const { actions } = plan(
      snapshot({ recipes, replicas: [running], demands: [order({ model: "a", gpus: 4 })] }),
      NOW,
    );
    expect(actions).toMatchObject([
      { kind: "refuse", error: { code: "conflict", message: expect.stringContaining("a-1 (1_gpu)") } },
    ]);
  });

  it("is tried even while the recipe backs off: the operator may have mended it", () => {
    const failure = { cause: "crashed", message: "", advice: "", lastLines: [], until: NOW + 7_000, count: 1 };
    expect(decide({ recipes, demands: [order({ model: "a" })], failures: new Map([["a", failure]]) })).toEqual([
      "start a on 1",
    ]);
  });
});

describe("a paused replica of a minimum", () => {
  it("is no part of it, and goes when idle", () => {
    const recipes = [makeRecipe({ id: "a", gpus: 4, replicas: { min: 1, max: 1 } })];
    const paused = replica("a", { gpus: ids(0, 4), responsive: false, idleSince: NOW - 60_000 });
    const other = replica("a", { name: "a-2", gpus: ids(4, 8), idleSince: NOW - 60_000 });
    expect(decide({ recipes, replicas: [paused, other] })).toEqual(["stop a-1 (idle)"]);
  });
});

describe("the minimum of a recipe", () => {
  const recipes = [makeRecipe({ id: "a", gpus: 4, replicas: { min: 2, max: 2 } })];

  it("is started one by one, on what is free", () => {
    expect(decide({ recipes })).toEqual(["start a on 4"]);
    expect(decide({ recipes, replicas: [replica("a", { gpus: ids(0, 4), state: "loading" })] })).toEqual([
      "start a on 4",
    ]);
  });

  it("evicts nobody", () => {
    const idle = replica("b", { gpus: ids(0, 8) });
    expect(decide({ recipes: [...recipes, makeRecipe({ id: "b", gpus: 8 })], replicas: [idle] })).toEqual([]);
  });

  it("waits out the pause after a failure", () => {
    const failure = { cause: "crashed", message: "", advice: "", lastLines: [], until: NOW + 7_000, count: 1 };
    const { actions, wakeAt } = plan(snapshot({ recipes, failures: new Map([["a", failure]]) }), NOW);
    expect(actions).toEqual([]);
    expect(wakeAt).toBe(NOW + 7_000);
  });
});

describe("GPUs that cannot be given out", () => {
  const blocked = (numbers: readonly number[], block: GpuBlock) =>
    new Map(numbers.map((number) => [`docker/${ids(number, number + 1)[0]}`, block]));
  const QUARANTINED = { status: "quarantined", reason: "63 GiB are still in use" } as const;

  it("are placed on by nobody", () => {
    const { actions } = plan(snapshot({ demands: [requests("a")], blocks: blocked([1], QUARANTINED) }), NOW);
    expect(actions).toMatchObject([{ kind: "start", gpus: [ids(0, 1), ids(2, 5)].flat() }]);
  });

  it("are waited for while their memory comes back, and nobody is evicted for that", () => {
    const recovering = blocked([0, 1], { status: "recovering", reason: "waiting for its memory" });
    const replicas = [replica("b", { gpus: ids(4, 8) })];
    const { actions, holds } = plan(snapshot({ replicas, demands: [requests("a")], blocks: recovering }), NOW);
    expect(actions).toEqual([]);
    expect(holds.get("requests:a")?.text).toBe(
      "waiting for the memory of GPU 0000:01:00.0, the memory of GPU 0000:02:00.0 to give back its GPUs",
    );
  });

  it("are the reason of a refusal where too few others are there, and it is worth asking again", () => {
    const { actions } = plan(
      snapshot({ demands: [requests("a")], blocks: blocked([0, 1, 2, 3, 4], QUARANTINED) }),
      NOW,
    );
    const [refusal] = actions;
    expect(refusal).toMatchObject({ kind: "refuse", error: { code: "no_capacity", retryAfterMs: 30_000 } });
    expect(refusal?.reason).toContain("GPU 0000:01:00.0 is quarantined: 63 GiB are still in use");
  });

  it("are no reason where all of them would be too few", () => {
    const demands = [requests("a")];
    const runtime = { gpus: GPUS.slice(0, 3) };
    expect(decide({ demands, runtime, blocks: blocked([0], QUARANTINED) })).toEqual(["refuse a: model_unavailable"]);
  });
});

describe("a launch order that says more", () => {
  const wishing = (wish: Demand["wish"], request: Partial<Demand["request"]> = {}): Demand =>
    order({ model: "a", ...request }, wish);
  const there = replica("a", { gpus: ids(0, 4) });

  it("gets the GPUs it names and no others", () => {
    const { actions } = plan(snapshot({ demands: [wishing({ on: ids(3, 7) })] }), NOW);
    expect(actions).toMatchObject([{ kind: "start", gpus: ids(3, 7) }]);
  });

  it("evicts who is idle on the GPUs it names, and only those", () => {
    const replicas = [replica("b", { gpus: ids(0, 4), idleSince: NOW - 20_000 }), replica("c", { gpus: ids(4, 8) })];
    expect(decide({ replicas, demands: [wishing({ on: ids(4, 8) })] })).toEqual(["stop c-1 (evicted)"]);
  });

  it.each([
    ["too few", ids(0, 3), /3 GPUs are named, and profile 4_gpu of a takes 4/],
    ["an unknown one", [...ids(0, 3), "0000:ff:00.0"], /no GPU 0000:ff:00.0/],
  ])("is refused for GPUs that cannot be: %s", (_, on, message) => {
    const { actions } = plan(snapshot({ demands: [wishing({ on })] }), NOW);
    expect(actions).toMatchObject([{ kind: "refuse", error: { code: "invalid_value" } }]);
    expect(actions[0]?.reason).toMatch(message);
  });

  it("is refused for a GPU that the recipe is not for, and for one that cannot be given out", () => {
    const gpus = [...GPUS.slice(0, 7), ...makeGpus(9, "MI210").slice(8)];
    const on = gpus.slice(4).map(({ id }) => id);
    const recipes = [makeRecipe({ id: "a", gpus: 4, hardware: ["MI300X"] })];
    const { actions } = plan(snapshot({ runtime: { gpus }, recipes, demands: [wishing({ on })] }), NOW);
    expect(actions[0]?.reason).toMatch(/is a MI210, and a is for MI300X/);
    const blocks = new Map([[`docker/${ids(2, 3)[0]}`, { status: "foreign", reason: "in use by x" } as const]]);
    expect(decide({ demands: [wishing({ on: ids(0, 4) })], blocks })).toEqual(["refuse a: no_capacity"]);
  });

  it("is not fulfilled by a replica with other flags, other GPUs or another name, and gets one beyond what requests may start", () => {
    const full = { replicas: [there] };
    for (const wish of [{ flags: ["--seed", "1"] }, { on: ids(4, 8) }, { name: "mine" }]) {
      expect(decide({ ...full, demands: [wishing(wish)] })).toEqual(["start a on 4"]);
    }
    const other = [makeProfile(2), makeProfile(4, { isDefault: false })];
    const recipes = [makeRecipe({ id: "a", profiles: other })];
    expect(decide({ ...full, recipes, demands: [wishing({ keepAliveMs: 1 }, { gpus: 2 })] })).toEqual([
      "refuse a: conflict",
    ]);
    expect(
      decide({ replicas: [{ ...there, flags: ["--seed", "1"] }], demands: [wishing({ flags: ["--seed", "1"] })] }),
    ).toEqual(["settle with a-1"]);
  });

  it("waits with its name until what the same plan starts has got one", () => {
    const recipes = [makeRecipe({ id: "a", gpus: 1 }), makeRecipe({ id: "b", gpus: 1 }), makeRecipe({ id: "c" })];
    const named = wishing({ name: "b-1" });
    expect(decide({ recipes, demands: [requests("b"), named, requests("c")] })).toEqual([
      "start b on 1",
      "start c on 0",
    ]);
    expect(decide({ recipes, demands: [named, requests("b")] })).toEqual(["start a on 1", "start b on 1"]);
  });

  it("is refused on GPUs that are not alike", () => {
    const gpus = [...makeGpus(2), ...makeGpus(4, "MI210").slice(2)];
    const recipes = [makeRecipe({ id: "a", gpus: 2 })];
    const on = gpus.slice(1, 3).map(({ id }) => id);
    const { actions } = plan(snapshot({ runtime: { gpus }, recipes, demands: [wishing({ on })] }), NOW);
    expect(actions).toMatchObject([
      { kind: "refuse", error: { code: "invalid_value", param: "on" }, reason: expect.stringMatching(/not alike/) },
    ]);
  });

  it("cannot have a name that another replica has", () => {
    const replicas = [replica("b", { name: "mine" })];
    const { actions } = plan(snapshot({ replicas, demands: [wishing({ name: "mine" })] }), NOW);
    expect(actions).toMatchObject([{ kind: "refuse", error: { code: "conflict", param: "name" } }]);
  });

  it("gets as many replicas as it asks for, beyond what requests may start", () => {
    expect(decide({ replicas: [there], demands: [wishing({ atLeast: 2 })] })).toEqual(["start a on 4"]);
    const second = replica("a", { name: "a-2", gpus: ids(4, 8) });
    expect(decide({ replicas: [there, second], demands: [wishing({ atLeast: 2 })] })).toEqual(["settle with a-2"]);
  });
});
