import { describe, expect, it } from "vitest";
import { Ejections } from "../../../src/control/fleet/ejections.ts";
import type { Replica } from "../../../src/control/replica.ts";
import { FakeClock } from "../../support/clock.ts";
import { makeReplica } from "../../support/make-replica.ts";

/** Replicas of one model, and their ejections. */
function setUp(...names: readonly string[]) {
  const clock = new FakeClock();
  const replicas = names.map((name) => readyReplica(name));
  const told: string[] = [];
  let grants = 0;
  let opened = 0;
  const ejections = new Ejections({
    clock,
    replicasOf: () => replicas,
    onOpen: () => void (opened += 1),
    journal: {
      ejected: ({ name }, { why, forMs }) => void told.push(`${name} is out for ${forMs}: ${why}`),
      trusted: ({ name }) => void told.push(`${name} is trusted`),
    },
  });
  const grant = (replica: Replica) => {
    ejections.granted(replica, ++grants);
    return grants;
  };
  return {
    clock,
    ejections,
    told,
    replicas,
    opened: () => opened,
    grant,
    fail: (replica: Replica) => ejections.failed(replica, grant(replica), "broke off"),
    succeed: (replica: Replica) => ejections.succeeded(replica, grant(replica)),
    out: () => replicas.filter(({ isLeftOut }) => isLeftOut).map(({ name }) => name),
  };
}

function readyReplica(name: string): Replica {
  const replica = makeReplica("loading", { name, model: "m" });
  replica.transition("ready", "ready", 0);
  return replica;
}

describe("a replica whose request failed", () => {
  it("is left out for a second, and twice as long each time, up to a minute", async () => {
    const { clock, replicas, fail, out, told } = setUp("a", "b");
    const [a] = replicas;
    for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
      fail(a!);
      expect(told.at(-1)).toBe(`a is out for ${seconds * 1000}: broke off`);
      await clock.advance(seconds * 1000 - 1);
      expect(out()).toEqual(["a"]);
      await clock.advance(1);
      expect(out()).toEqual([]);
    }
  });

  it("tells people what is held against it, as long as that is so", () => {
    const { replicas, fail, ejections } = setUp("a", "b");
    fail(replicas[0]!);
    expect(replicas[0]!.reason).toBe("left out for 1 s: broke off");
    ejections.forget(replicas[0]!);
    expect(replicas[0]!.reason).toBe("ready");
  });

  it("gets one request after that, and no other before it is known what became of it", async () => {
    const { clock, replicas, fail, grant, out, ejections } = setUp("a", "b");
    const [a] = replicas;
    fail(a!);
    await clock.advance(1_000);
    const trial = grant(a!);
    expect(out()).toEqual(["a"]);
    ejections.succeeded(a!, trial);
    expect(out()).toEqual([]);
    expect(a!.ejection).toBeUndefined();
  });

  it("gets another one when that had no outcome", async () => {
    const { clock, replicas, fail, grant, out, ejections, opened } = setUp("a", "b");
    const [a] = replicas;
    fail(a!);
    await clock.advance(1_000);
    const before = opened();
    ejections.released(a!, grant(a!));
    expect([out(), opened()]).toEqual([[], before + 1]);
  });

  it("begins with a second again after a success", async () => {
    const { clock, replicas, fail, succeed, told } = setUp("a", "b");
    const [a] = replicas;
    fail(a!);
    await clock.advance(1_000);
    fail(a!);
    await clock.advance(2_000);
    succeed(a!);
    fail(a!);
    expect(told).toEqual([
      "a is out for 1000: broke off",
      "a is out for 2000: broke off",
      "a is trusted",
      "a is out for 1000: broke off",
    ]);
  });

  it("is blamed once for all requests that it had", async () => {
    const { clock, replicas, grant, told, ejections } = setUp("a", "b");
    const [a] = replicas;
    const grants = Array.from({ length: 10 }, () => grant(a!));
    for (const one of grants.slice(0, 5)) ejections.failed(a!, one, "broke off");
    await clock.advance(1_000);
    for (const one of grants.slice(5)) ejections.failed(a!, one, "broke off");
    expect(told).toEqual(["a is out for 1000: broke off"]);
  });

  it("is not trusted for an answer that had begun before", () => {
    const { replicas, grant, fail, out, ejections } = setUp("a", "b");
    const [a] = replicas;
    const earlier = grant(a!);
    fail(a!);
    ejections.succeeded(a!, earlier);
    expect(out()).toEqual(["a"]);
  });

  it("says to those who wait when it takes requests again", async () => {
    const { clock, replicas, fail, opened } = setUp("a", "b");
    fail(replicas[0]!);
    expect(opened()).toBe(0);
    await clock.advance(1_000);
    expect(opened()).toBe(1);
  });
});

describe("replicas that are left out", () => {
  it("serve all the same where there are no others", async () => {
    const { clock, replicas, fail, out, opened } = setUp("a", "b");
    const [a, b] = replicas;
    fail(a!);
    expect(out()).toEqual(["a"]);
    fail(b!);
    expect([out(), opened()]).toEqual([[], 1]);
    await clock.advance(1_000);
    fail(a!);
    expect(out()).toEqual([]);
  });

  it("serve when the last other one is lost, and no more when it is back", () => {
    const { replicas, fail, out, ejections } = setUp("a", "b");
    const [a, b] = replicas;
    fail(a!);
    b!.responsive = false;
    ejections.review("m");
    expect(out()).toEqual([]);
    b!.responsive = true;
    ejections.review("m");
    expect(out()).toEqual(["a"]);
  });

  it("are forgotten when they go, with their timers", () => {
    const { replicas, fail, out, ejections, clock } = setUp("a", "b");
    const [a] = replicas;
    fail(a!);
    ejections.forget(a!);
    expect([out(), clock.pending]).toEqual([[], 0]);
    a!.transition("draining", "stopped", 0);
    fail(a!);
    expect(a!.ejection).toBeUndefined();
  });

  it("keep no process alive once the fleet is closed", () => {
    const { replicas, fail, ejections, clock } = setUp("a", "b");
    fail(replicas[0]!);
    ejections.close();
    expect(clock.pending).toBe(0);
  });
});
