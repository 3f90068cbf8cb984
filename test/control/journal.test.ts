// What is told of decisions and waits: as events with types of one vocabulary, and as metrics; each once.
import { describe, expect, it } from "vitest";
import { AimError } from "../../src/errors.ts";
import { Journal } from "../../src/control/journal.ts";
import type { Action } from "../../src/control/planner/actions.ts";
import type { Hold } from "../../src/control/planner/why.ts";
import type { Demand, ScaleTarget } from "../../src/control/snapshot.ts";
import { EventLog } from "../../src/telemetry/events.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { FakeClock } from "../support/clock.ts";
import { makeReplica } from "../support/make-replica.ts";
import { requests } from "../support/make-snapshot.ts";
import { makeProfile, makeRecipe } from "../support/make.ts";

const SECOND = 1_000;

function setUp(capacity = 1000) {
  const clock = new FakeClock();
  const events = new EventLog(clock, capacity);
  const metrics = createMetrics();
  const journal = new Journal({ clock, events, metrics, logger: silentLogger });
  let seen = 0;
  /** What came since the last look. */
  const news = () => {
    const fresh = events.since(seen);
    seen = events.newest;
    return fresh.map(({ type, message }) => `${type} | ${message}`);
  };
  const planned = (demands: readonly Demand[], hold?: Hold, scale: ReadonlyMap<string, ScaleTarget> = new Map()) =>
    journal.planned(
      { demands, scale },
      { holds: new Map(hold === undefined ? [] : demands.map(({ id }) => [id, hold])) },
    );
  return { clock, events, metrics, journal, news, planned };
}

const busy: Hold = { why: "busy", text: "all GPUs are busy" };

describe("a decision", () => {
  const demand = requests("a", { waiting: 3 });
  const table: readonly (readonly [Action, string])[] = [
    [
      {
        kind: "start",
        recipe: makeRecipe({ id: "a", model: "a" }),
        profile: makeProfile(2),
        runtime: "docker",
        gpus: ["g1", "g2"],
        why: "scale out",
        reason: "more to do",
        reasons: [],
      },
      "decision:start:scale-out | start a with 2_gpu on g1, g2: more to do",
    ],
    [
      { kind: "stop", replica: "a-1", cause: "evicted", demand, reason: "idle for 10 s" },
      "decision:stop:evicted | stop a-1: idle for 10 s",
    ],
    [
      { kind: "sleep", replica: "a-1", level: 1, why: "idle", reason: "idle for 5m" },
      "decision:sleep:idle | put to sleep a-1: idle for 5m",
    ],
    [
      { kind: "wake", replica: "a-1", why: "requests", demand, reason: "3 waiting for a" },
      "decision:wake:requests | wake a-1: 3 waiting for a",
    ],
    [
      { kind: "settle", replica: "a-1", demand, reason: "a-1 already serves a" },
      "decision:settle:requests | keep a-1: a-1 already serves a",
    ],
    [
      { kind: "refuse", demand, error: new AimError("no_capacity", "no room"), reason: "no room" },
      "decision:refuse:no_capacity | refuse a: no room",
    ],
  ];

  it.each(table)("is one event with its reason: %#", (action, event) => {
    const { journal, news } = setUp();
    journal.decided(action, makeReplica("loading"));
    expect(news()).toEqual([event]);
  });

  it("names the model and the replica it is about, so that both can be asked for", () => {
    const { journal, events } = setUp();
    journal.decided({ kind: "sleep", replica: "a-1", level: 1, why: "idle", reason: "" }, makeReplica("loading"));
    expect(events.since(0)).toMatchObject([{ model: "a", replica: "a-1" }]);
  });

  it("is counted by kind and why", async () => {
    const { journal, metrics } = setUp();
    for (const [action] of table) journal.decided(action, undefined);
    const text = await metrics.registry.getSingleMetricAsString("aim_decisions_total");
    expect(text).toContain('aim_decisions_total{kind="stop",why="evicted"} 1');
    expect(text).toContain('aim_decisions_total{kind="start",why="scale out"} 1');
    expect(text).toContain('aim_decisions_total{kind="refuse",why="no_capacity"} 1');
  });

  it("is put into no words where nobody will see them", () => {
    const { journal, events } = setUp(0);
    const gpus = Object.assign(["g1"], {
      join() {
        throw new Error("it was put into words");
      },
    });
    const action = { ...table[0]![0], gpus } as Action;
    expect(() => journal.decided(action, undefined)).not.toThrow();
    events.follow(() => {});
    expect(() => journal.decided(action, undefined)).toThrow("it was put into words");
  });
});

describe("a wait", () => {
  it("is told of when it begins and when its cause changes, not with every plan", () => {
    const { planned, news } = setUp();
    const demands = [requests("a", { waiting: 2 })];
    planned(demands, busy);
    expect(news()).toEqual(["hold:busy | a: 2 wait; all GPUs are busy"]);
    planned(demands, { ...busy, text: "all other GPUs are busy" });
    expect(news()).toEqual([]);
    planned(demands, { why: "making room", text: "stopping b-1" });
    expect(news()).toEqual(["hold:making-room | a: 2 wait; stopping b-1"]);
  });

  it("is the same for those who leave and ask again soon, and news after a while or a start", async () => {
    const { clock, journal, planned, news } = setUp();
    const demand = requests("a");
    planned([demand], busy);
    for (let round = 0; round < 10; round++) {
      await clock.advance(50 * SECOND);
      planned([]);
      planned([demand], busy);
    }
    expect(news()).toHaveLength(1);
    await clock.advance(61 * SECOND);
    planned([]);
    planned([demand], busy);
    expect(news()).toHaveLength(1);
    journal.decided({ kind: "wake", replica: "a-1", why: "requests", demand, reason: "" }, undefined);
    planned([demand], busy);
    expect(news()).toHaveLength(2);
  });

  it("of one demand says nothing about another", () => {
    const { planned, news } = setUp();
    planned([requests("a"), requests("b")], busy);
    expect(news()).toHaveLength(2);
    planned([requests("b"), requests("c")], busy);
    expect(news()).toEqual(["hold:busy | c: 1 waits; all GPUs are busy"]);
  });
});

describe("refusals", () => {
  const refuse = (count: number): Action => ({
    kind: "refuse",
    demand: requests("a", { waiting: count }),
    error: new AimError("no_capacity", "no room"),
    reason: "no room",
  });

  it("are told of at once and then in sum, and counted each", async () => {
    const { clock, journal, metrics, planned, news } = setUp();
    for (let count = 0; count < 500; count++) journal.decided(refuse(2), undefined);
    planned([]);
    expect(news()).toEqual(["decision:refuse:no_capacity | refuse a: no room"]);
    await clock.advance(10 * SECOND);
    planned([]);
    planned([]);
    expect(news()).toEqual(["waiters:refused:no_capacity | refused 998 more requests for a"]);
    expect(await metrics.registry.getSingleMetricAsString("aim_waiters_refused_total")).toContain(
      'aim_waiters_refused_total{model="a",reason="no_capacity"} 1000',
    );
  });

  it("begin anew after a quiet while", async () => {
    const { clock, journal, planned, news } = setUp();
    journal.decided(refuse(1), undefined);
    await clock.advance(10 * SECOND);
    planned([]);
    journal.decided(refuse(1), undefined);
    expect(news()).toHaveLength(2);
  });

  it("without a plan are told of in the same way", () => {
    const { journal, news } = setUp();
    const error = new AimError("queue_full", "too many requests are waiting for a");
    for (let count = 0; count < 100; count++) journal.turnedAway("a", error);
    journal.turnedAway("b", error);
    expect(news()).toEqual([
      "waiters:refused:queue_full | too many requests are waiting for a",
      "waiters:refused:queue_full | too many requests are waiting for a",
    ]);
  });
});

describe("a scale", () => {
  it("is told of when its target moves", () => {
    const { planned, news } = setUp();
    const scale = (replicas: number, reason = "12 requests per replica") => new Map([["a", { replicas, reason }]]);
    planned([], undefined, scale(2));
    expect(news()).toEqual(["decision:scale | a is meant to have 2 replicas: 12 requests per replica"]);
    planned([], undefined, scale(2, "11 requests per replica"));
    expect(news()).toEqual([]);
    planned([], undefined, scale(3));
    expect(news()).toHaveLength(1);
    planned([]);
    expect(news()).toEqual([]);
  });
});

describe("a replica", () => {
  it("that wakes up is no start, and its time is told apart", async () => {
    const { journal, metrics } = setUp();
    const replica = makeReplica("loading");
    for (const state of ["ready", "dozing", "sleeping", "waking"] as const) {
      const from = replica.state;
      replica.transition(state, state, 0);
      journal.moved(replica, from);
    }
    replica.wakeMs = 3 * SECOND;
    replica.transition("ready", "ready", 0);
    journal.moved(replica, "waking");
    expect(await metrics.registry.getSingleMetricAsString("aim_wake_seconds")).toContain(
      'aim_wake_seconds_sum{model="a"} 3',
    );
    expect(await metrics.registry.getSingleMetricAsString("aim_replica_starts_total")).toContain(
      'aim_replica_starts_total{model="a",outcome="ready"} 1',
    );
  });

  it("that is pinned or not any more is told of", () => {
    const { journal, news } = setUp();
    const replica = makeReplica("loading");
    replica.pinned = true;
    journal.pinned(replica);
    replica.pinned = false;
    journal.pinned(replica);
    expect(news()).toEqual([
      "replica:pinned | a-1 is pinned: neither evicted nor unloaded for being idle",
      "replica:unpinned | a-1 is no longer pinned",
    ]);
  });
});
