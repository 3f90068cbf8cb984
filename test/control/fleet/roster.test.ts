import { describe, expect, it } from "vitest";
import { Roster } from "../../../src/control/fleet/roster.ts";
import type { Replica } from "../../../src/control/replica.ts";
import { makeReplica } from "../../support/make-replica.ts";

function asleep(replica: Replica): Replica {
  replica.transition("sleeping", "found asleep", 0);
  return replica;
}

describe("who holds a GPU", () => {
  const sleeper = asleep(makeReplica("loading", { name: "a-1", gpus: ["0", "1"] }));
  const awake = makeReplica("loading", { name: "b-1", model: "b", gpus: ["1"] });

  it("is known of each GPU, the eldest first, and of several the one that is awake comes to the fore", () => {
    const roster = new Roster();
    roster.add(sleeper);
    roster.add(awake);
    expect(roster.holders("docker", "0")).toEqual([sleeper]);
    expect(roster.holders("docker", "1")).toEqual([sleeper, awake]);
    expect(roster.holder("docker", "0")).toBe(sleeper);
    expect(roster.holder("docker", "1")).toBe(awake);
  });

  it("is nobody where nobody was placed, nor on another runtime", () => {
    const roster = new Roster();
    roster.add(sleeper);
    expect(roster.holders("docker", "2")).toEqual([]);
    expect(roster.holder("process", "0")).toBeUndefined();
  });

  it("is forgotten of one that is gone, and of that one alone", () => {
    const roster = new Roster();
    roster.add(sleeper);
    roster.add(awake);
    roster.bury(sleeper, 0);
    expect(roster.holders("docker", "0")).toEqual([]);
    expect(roster.holders("docker", "1")).toEqual([awake]);
  });
});
