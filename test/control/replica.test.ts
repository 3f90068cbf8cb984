import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { identityOfStart, type ReplicaState, type StartDecision } from "../../src/control/replica.ts";
import { makeProfile, makeRecipe } from "../support/make.ts";
import { makeReplica } from "../support/make-replica.ts";

describe("a replica's states", () => {
  const STATES: readonly ReplicaState[] = [
    "pending",
    "pulling",
    "starting",
    "loading",
    "ready",
    "draining",
    "dozing",
    "sleeping",
    "waking",
    "stopping",
    "failed",
    "gone",
  ];

  it("lead from every state to gone, and from gone nowhere", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...STATES), { maxLength: 30 }), (path) => {
        const replica = makeReplica("pending");
        for (const state of path) {
          const before = replica.state;
          try {
            replica.transition(state, "", 0);
          } catch {
            expect(replica.state).toBe(before);
          }
        }
        if (replica.state !== "failed" && replica.state !== "stopping" && replica.state !== "gone")
          replica.transition("stopping", "", 0);
        if (replica.state !== "gone") replica.transition("gone", "", 0);
        for (const state of STATES) expect(() => replica.transition(state, "", 0)).toThrow("illegal");
      }),
    );
  });

  it("never skip loading on the way to ready, nor come back from stopping", () => {
    expect(() => makeReplica("pending").transition("ready", "", 0)).toThrow("illegal transition from pending to ready");
    const replica = makeReplica();
    replica.transition("stopping", "", 0);
    expect(() => replica.transition("ready", "", 0)).toThrow("illegal");
  });
});

describe("who a replica is, by the decision that starts it", () => {
  const identityOf = (demand?: Omit<NonNullable<StartDecision["demand"]>, "id">, profile = makeProfile(1)) => {
    const start = { recipe: makeRecipe(), profile, runtime: "docker", gpus: ["0000:01:00.0"] } as const;
    return identityOfStart(demand === undefined ? start : { ...start, demand: { id: "1", ...demand } }, "tiny-1");
  };

  it("has a share of its GPUs where its profile says so", () => {
    expect(identityOf(undefined, makeProfile(1, { gpuFraction: 0.4 })).gpuFraction).toBe(0.4);
    expect(identityOf()).not.toHaveProperty("gpuFraction");
  });

  it.each([
    [{ kind: "order", why: "order" }, true],
    [{ kind: "wanted", why: "replacement" }, true],
    [{ kind: "wanted", why: "preload" }, undefined],
    [{ kind: "requests", why: "requests" }, undefined],
    [undefined, undefined],
  ] as const)("started for %j, launched by an operator: %s", (demand, launched) => {
    expect(identityOf(demand).launched).toBe(launched);
  });

  it("is pinned where the launch said so", () => {
    expect(identityOf({ kind: "order", why: "order", wish: { pinned: true } }).pinned).toBe(true);
    expect(identityOf({ kind: "order", why: "order", wish: {} })).not.toHaveProperty("pinned");
  });
});
