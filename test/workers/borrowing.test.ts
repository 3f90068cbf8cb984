import { describe, expect, it } from "vitest";
import { CLOSED } from "../../src/control/fleet/lent.ts";
import { AimError } from "../../src/errors.ts";
import type { RequestHints } from "../../src/gateway/pool.ts";
import { Borrowing } from "../../src/workers/borrowing.ts";
import type { Report } from "../../src/workers/messages.ts";
import { Tally, tallyMemory } from "../../src/workers/tally.ts";
import { WorkerPool } from "../../src/workers/worker-pool.ts";
import { FakeClock } from "../support/clock.ts";

const THREAD = 1;
const HINTS: RequestHints = { requestId: "r", bodyBytes: 1 };
const never = new AbortController().signal;

/** A worker that was lent so many replicas of the model "m", of four slots each. */
function setUp(replicas = 1) {
  const tally = new Tally(tallyMemory(1));
  const told: Report[] = [];
  const tell = (report: Report) => void told.push(report);
  const borrowing = new Borrowing({ clock: new FakeClock(), tally, thread: THREAD, tell });
  for (let place = 0; place < replicas; place++) {
    tally.setLimit(place, 4);
    const address = `http://127.0.0.1:${8000 + place}/`;
    borrowing.lent({ place, turn: 1, name: `m-${place}`, model: "m", address, balance: "least-in-flight" });
  }
  return { tally, borrowing, pool: new WorkerPool(borrowing, tell), told: () => told.splice(0) };
}

describe("a slot that is borrowed", () => {
  it("is not looked for again on a replica that nobody reaches, until the main thread has opened it anew", () => {
    const { borrowing, tally, told } = setUp(2);
    tally.setOwn(1, 2);
    const dead = borrowing.take("m", HINTS)!;
    expect(dead.replica).toBe("m-0");
    dead.report({ kind: "unreachable", error: new Error("refused") });
    dead.release();
    expect(borrowing.take("m", HINTS)!.replica).toBe("m-1");
    expect(told().map(({ kind }) => kind)).toEqual(["failed", "freed"]);
    tally.setLimit(0, 4);
    expect(borrowing.take("m", HINTS)!.replica).toBe("m-0");
  });

  it("leaves a replica closed for the reason for which it is", () => {
    const { borrowing, tally } = setUp();
    const lease = borrowing.take("m", HINTS)!;
    tally.setLimit(0, CLOSED.away);
    lease.report({ kind: "unreachable", error: new Error("refused") });
    expect(tally.limit(0)).toBe(CLOSED.away);
  });

  it("is given back once, and left to the main thread where how long the replica stays is asked for", () => {
    const { borrowing, tally } = setUp();
    const lease = borrowing.take("m", HINTS)!;
    lease.release();
    lease.release();
    expect(tally.total(0)).toBe(0);
    expect(borrowing.take("m", { ...HINTS, keepAliveMs: 1 })).toBeUndefined();
  });

  it("is none of a replica that was taken back, which is said to be forgotten", () => {
    const { borrowing, told } = setUp();
    borrowing.takenBack({ place: 0, turn: 1 });
    expect(borrowing.take("m", HINTS)).toBeUndefined();
    expect(told()).toEqual([{ kind: "forgot", place: 0, turn: 1 }]);
  });
});

describe("a lease that the main thread keeps", () => {
  const grant = { replica: "m-0", address: "http://127.0.0.1:8000/", coldStart: false };

  it("has the address of others on the same replica, by which connections are found again", async () => {
    const { pool, borrowing, told } = setUp();
    const leases = [pool.acquire("m", HINTS, never), pool.acquire("m", HINTS, never)];
    for (const report of told()) if (report.kind === "acquire") pool.granted(report.id, grant);
    const [first, second] = await Promise.all(leases);
    expect(second!.address).toBe(first!.address);
    expect(borrowing.take("m", HINTS)!.address).toBe(first!.address);
  });

  it("is asked for with what is said to those who wait, which is forgotten with the last of them", async () => {
    const { pool, told } = setUp();
    const unknown = pool.retryAfterMs("m");
    const leases = [pool.acquire("m", HINTS, never), pool.acquire("m", HINTS, never)];
    pool.tellOutlook("m", { words: "loading", retryAfterMs: 7_000 });
    const [first, second] = told().map((report) => (report.kind === "acquire" ? report.id : 0));
    pool.granted(first!, grant);
    expect([pool.describeWait("m"), pool.retryAfterMs("m")]).toEqual(["loading", 7_000]);
    pool.refused(second!, { code: "no_capacity", message: "no room" });
    expect(pool.retryAfterMs("m")).toBe(unknown);
    pool.tellOutlook("m", { words: "late", retryAfterMs: 1 });
    expect(pool.retryAfterMs("m")).toBe(unknown);
    await leases[0];
    await expect(leases[1]).rejects.toThrow(AimError);
  });

  it("is called off when the client leaves, and what is granted after that is nobody's", async () => {
    const { pool, told } = setUp();
    const client = new AbortController();
    const lease = pool.acquire("m", HINTS, client.signal);
    const [asked] = told();
    client.abort(new Error("left"));
    await expect(lease).rejects.toThrow("left");
    expect(told()).toEqual([{ kind: "left", id: asked?.kind === "acquire" ? asked.id : 0 }]);
    pool.granted(1, grant);
    expect(told()).toEqual([]);
  });
});
