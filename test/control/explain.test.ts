import { describe, expect, it } from "vitest";
import { explain, type Explanation } from "../../src/control/explain.ts";
import type { LaunchOrder } from "../../src/control/fleet/orders.ts";
import { ids, NOW, replica, requests, snapshot } from "../support/make-snapshot.ts";

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

  it("names who would be evicted, and why", () => {
    const replicas = [replica("b", { gpus: ids(0, 4) }), replica("c", { gpus: ids(4, 8), inFlight: 1 })];
    const answer = ask({ replicas });
    expect(answer).toMatchObject({ verdict: "evicts", recipe: "a", gpus: [] });
    expect(answer.evicts).toEqual([{ replica: "b-1", reason: "idle for 10 s; its GPUs are needed for a" }]);
  });

  it("leaves out those who would go anyway, or for somebody else", () => {
    const replicas = [
      replica("b", { gpus: ids(0, 4), idleSince: NOW - 60_000 }),
      replica("c", { gpus: ids(4, 8), inFlight: 1 }),
    ];
    expect(ask({ replicas })).toMatchObject({ verdict: "waits", evicts: [] });
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
});
