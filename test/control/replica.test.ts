import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ReplicaState } from "../../src/control/replica.ts";
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
