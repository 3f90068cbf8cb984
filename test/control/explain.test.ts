import { describe, expect, it } from "vitest";
import { explain, type Explanation } from "../../src/control/explain.ts";
import type { LaunchOrder } from "../../src/control/fleet/orders.ts";
import { ids, NOW, POLICY, replica, requests, snapshot } from "../support/make-snapshot.ts";

function ask(
  state: Parameters<typeof snapshot>[0] = {},
  order: LaunchOrder = { request: { model: "a" } },
): Explanation {
  return explain(snapshot(state), NOW, order);
}

describe("an explanation", () => {
  it("says what would start, where and why", () => {
    const answer = ask();
    expect(answer).toMatchObject({
      verdict: "starts",
      recipe: "a",
      profile: "4_gpu",
      runtime: "docker",
      gpus: ids(0, 4),
    });
    expect(answer.summary).toBe("a with 4_gpu would start at once on 4 free GPUs");
    expect(answer.reasons.join("\n")).toContain("GPUs 0000:01:00.0");
  });

  it.each(["loading", "ready"] as const)("says that a replica is %s", (state) => {
    const replicas = [replica("a", { state, gpus: ids(0, 4) })];
    expect(ask({ replicas })).toMatchObject({ verdict: "serves", gpus: ids(0, 4), summary: `a-1 is ${state}` });
  });

  it("says which of its replicas are left out, and why", () => {
    const leftOut = "left out for 2s: it broke off an answer";
    const replicas = [replica("a", { gpus: ids(0, 4) }), replica("a", { name: "a-2", gpus: ids(4, 8), leftOut })];
    expect(ask({ replicas })).toMatchObject({ verdict: "serves", reasons: [`a-2 is ${leftOut}`] });
  });

  it("names who would be evicted, and why", () => {
    const replicas = [replica("b", { gpus: ids(0, 4) }), replica("c", { gpus: ids(4, 8), inFlight: 1 })];
    const answer = ask({ replicas });
    const summary = "it would start as soon as b-1 made room";
    expect(answer).toMatchObject({ verdict: "evicts", recipe: "a", gpus: [], summary });
    expect(answer.evicts).toEqual([{ replica: "b-1", reason: "idle for 10 s; its GPUs are needed for a" }]);
  });

  it("leaves out those who would go anyway, or for somebody else", () => {
    const replicas = [
      replica("b", { gpus: ids(0, 4), idleSince: NOW - 60_000 }),
      replica("c", { gpus: ids(4, 8), inFlight: 1 }),
    ];
    expect(ask({ replicas })).toMatchObject({ verdict: "waits", evicts: [] });
  });

  it("puts it before those who are less urgent", () => {
    const demands = [{ ...requests("b"), rank: NOW + 60_000 }];
    expect(ask({ demands })).toMatchObject({ verdict: "starts", gpus: ids(0, 4) });
  });

  it("says what it would wait for, and behind whom", () => {
    const replicas = ["b", "c"].map((model, index) =>
      replica(model, { gpus: ids(4 * index, 4 * index + 4), inFlight: 1 }),
    );
    const answer = ask({ replicas, demands: [requests("x")] });
    expect(answer).toMatchObject({
      verdict: "waits",
      reasons: expect.arrayContaining(["1 other demand was there first"]),
    });
    expect(answer.summary).toContain("all 8 MI300X (4 held by b-1, 4 by c-1) are busy");
  });

  it("says why it cannot be had", () => {
    expect(ask({}, { request: { model: "a", gpus: 3 } })).toMatchObject({
      verdict: "refused",
      summary: expect.stringContaining("no profile for 3 GPUs"),
    });
  });

  it("says what the cause of a failure is, and when requests are worth it again", () => {
    const failure = {
      cause: "out_of_memory",
      message: "a could not be started",
      advice: "use more GPUs",
      lastLines: [],
      until: NOW + 20_000,
      count: 1,
    };
    const answer = ask({ failures: new Map([["a", failure]]) });
    expect(answer).toMatchObject({ verdict: "refused", summary: "a could not be started" });
    expect(answer.reasons).toEqual([
      "out_of_memory: use more GPUs",
      "worth asking again in 20 s; a launch tries at once",
    ]);
  });

  it("explains a launch where more than a model is asked for", () => {
    const replicas = [replica("a", { gpus: ids(0, 4) })];
    expect(ask({ replicas }, { request: { model: "a" }, on: ids(4, 8) })).toMatchObject({
      verdict: "starts",
      gpus: ids(4, 8),
    });
    expect(ask({ replicas }, { request: { model: "a" }, atLeast: 2 })).toMatchObject({
      verdict: "starts",
      gpus: ids(4, 8),
    });
    expect(ask({ replicas }, { request: { model: "a", gpus: 4 } })).toMatchObject({
      verdict: "serves",
      summary: "a-1 already serves a with 4_gpu",
    });
  });

  const asleep = (overrides: object = {}) =>
    replica("a", {
      state: "sleeping",
      gpus: ids(0, 4),
      residualShare: 0.05,
      sleep: { afterMs: 60_000, level: 1, hostBytes: 0 },
      ...overrides,
    });

  it("says that one which sleeps would be woken", () => {
    expect(ask({ replicas: [asleep()] })).toMatchObject({
      verdict: "wakes",
      why: "requests",
      gpus: ids(0, 4),
      summary: "a-1 sleeps, and would be woken at once",
    });
  });

  it("says that somebody would be put to sleep for it", () => {
    const sleep = { afterMs: 600_000, level: 1, hostBytes: 0 } as const;
    const replicas = [
      replica("b", { gpus: ids(0, 4), sleep, residualShare: 0.05 }),
      replica("c", { gpus: ids(4, 8), inFlight: 1 }),
    ];
    const answer = ask({ replicas });
    expect(answer).toMatchObject({ verdict: "evicts", why: "making room" });
    expect(answer.evicts).toEqual([
      { replica: "b-1", reason: "idle for 10 s; its GPUs are needed for a; it is put to sleep" },
    ]);
  });

  it("says when somebody gives way who has just come", () => {
    const fresh = { readyAt: NOW - 10_000, idleSince: NOW - 1_000, stateSince: NOW - 10_000, heat: 10 };
    const replicas = [
      replica("b", { gpus: ids(0, 4), ...fresh }),
      replica("c", { gpus: ids(4, 8), inFlight: 1, ...fresh }),
    ];
    const answer = ask({ replicas });
    expect(answer).toMatchObject({ verdict: "waits", why: "resident", recipe: "a", evicts: [] });
    expect(answer.summary).toBe(
      "all 8 MI300X (4 held by b-1, 4 by c-1) are in use, and have not been for long; one gives way in about 50 s",
    );
  });

  it("says that too many replicas are loading already", () => {
    const replicas = [replica("b", { state: "loading", gpus: ids(0, 4) })];
    const policy = { ...POLICY, maxStarts: 1 };
    expect(ask({ replicas, policy })).toMatchObject({
      verdict: "waits",
      why: "limit",
      summary: "1 replica is loading, as many as may",
    });
  });

  it("of a request is what those meet who wait already", () => {
    const replicas = ["b", "c"].map((model, index) =>
      replica(model, { gpus: ids(4 * index, 4 * index + 4), inFlight: 1 }),
    );
    const waiting = requests("a", { since: NOW - 50_000, waiting: 3 });
    const answer = ask({ replicas, demands: [waiting] });
    expect(answer).toMatchObject({ verdict: "waits", why: "busy" });
    expect(answer.summary).toContain("one gives way in about 10 s");
    expect(answer.reasons.join()).not.toContain("there first");
    expect(ask({ demands: [waiting] })).toMatchObject({ verdict: "starts" });
  });

  it("names the code of a refusal", () => {
    expect(ask({}, { request: { model: "a", gpus: 3 } })).toMatchObject({ why: "model_unavailable" });
  });
});
