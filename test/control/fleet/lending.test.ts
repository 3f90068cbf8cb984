import { describe, expect, it } from "vitest";
import { Lending } from "../../../src/control/fleet/lending.ts";
import { CLOSED, type Lent } from "../../../src/control/fleet/lent.ts";
import type { Replica } from "../../../src/control/replica.ts";
import { makeReplica } from "../../support/make-replica.ts";

class FakeLent implements Lent {
  inFlight = 0;
  usedAt = -Infinity;
  grants = 0;
  now = 0;
  own = 0;
  readonly queue = { others: { prompts: 0, tokens: 0 }, tell() {} };

  owns(leases: number): void {
    this.own = leases;
  }

  limit(limit: number): void {
    this.now = limit;
  }
}

/** One replica that is loading, and who lends it. */
function setUp() {
  const replica: Replica = makeReplica("loading", { model: "m" });
  // Without a recipe it would be stale.
  Object.assign(replica, { isStale: false });
  const lent = new FakeLent();
  const told: string[] = [];
  let waiting = 0;
  const lending = new Lending({
    roster: { all: () => [replica], ofModel: () => [replica] },
    demand: {
      get isEmpty() {
        return waiting === 0;
      },
      waiting: () => waiting,
    },
    lender: {
      lend: () => (told.push("lent"), lent),
      end: () => void told.push("ended"),
      heed: (isHeeded) => void told.push(isHeeded ? "heeded" : ""),
    },
  });
  const ready = () => {
    replica.located({ id: "1", name: "a-1" }, new URL("http://127.0.0.1:1"), 0);
    replica.transition("ready", "ready", 0);
    lending.review();
  };
  const wait = (count: number) => void (waiting = count);
  return { replica, lent, lending, told: () => told.splice(0).filter((word) => word !== ""), ready, wait };
}

describe("lending", () => {
  it("lends a replica from when it is ready until it is neither ready nor draining", () => {
    const { replica, lent, lending, told, ready } = setUp();
    lending.review();
    expect(told()).toEqual([]);
    ready();
    expect([told(), lent.now > 1_000]).toEqual([["lent"], true]);
    replica.transition("draining", "", 1);
    lending.review();
    expect([told(), lent.now]).toEqual([[], CLOSED.away]);
    replica.transition("stopping", "", 1);
    lending.review();
    expect([told(), lent.now]).toEqual([["ended"], CLOSED.away]);
  });

  it("closes it while somebody waits for the model, and says then that every end counts", () => {
    const { lent, lending, told, ready, wait } = setUp();
    ready();
    told();
    wait(1);
    lending.review();
    expect([told(), lent.now]).toEqual([["heeded"], 0]);
    wait(0);
    lending.reviewModel("m");
    expect(lent.now).toBeGreaterThan(0);
  });

  it("shows by its limit what is against it", () => {
    const { replica, lent, lending, ready } = setUp();
    ready();
    const shown = (change: Partial<Replica>) => {
      Object.assign(replica, change);
      lending.reviewModel("m");
      return lent.now;
    };
    const ejection = { why: "", failures: 1, forMs: 1, until: 1 };
    expect(shown({ rampLimit: 8 })).toBe(8);
    expect(shown({ ejection, isLeftOut: true })).toBe(CLOSED.shut);
    expect(shown({ isLeftOut: false })).toBe(CLOSED.onTrial);
    expect(shown({ responsive: false })).toBe(CLOSED.away);
  });

  it("holds those that are counted while one is given out, and tells what the fleet itself has there", () => {
    const { replica, lent, lending, ready } = setUp();
    ready();
    lending.holdModel("m");
    expect(lent.now).toBeGreaterThan(0);
    Object.assign(replica, { rampLimit: 8, leases: 3 });
    lending.holdModel("m");
    expect(lent.now).toBe(CLOSED.shut);
    lending.reviewModel("m");
    expect([lent.now, lent.own]).toEqual([8, 3]);
    lending.hold(replica);
    expect(lent.now).toBe(CLOSED.shut);
  });

  it("counts what others have as in flight, and their last use as use", () => {
    const { replica, lent, ready } = setUp();
    ready();
    Object.assign(lent, { inFlight: 2, usedAt: 77 });
    replica.leases = 1;
    expect([replica.inFlight, replica.idleSince]).toEqual([3, 77]);
  });

  it("tells once what others gave out, and of each time when it became free", () => {
    const { replica, lent, lending, ready } = setUp();
    ready();
    expect(lending.news()).toEqual([]);
    Object.assign(lent, { inFlight: 1, usedAt: 5, grants: 3 });
    expect(lending.news()).toEqual([{ replica, grants: 3, isIdleAnew: false }]);
    Object.assign(lent, { inFlight: 0, usedAt: 9 });
    expect(lending.news()).toEqual([{ replica, grants: 0, isIdleAnew: true }]);
    expect(lending.news()).toEqual([]);
  });
});
