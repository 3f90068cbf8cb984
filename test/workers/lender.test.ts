import { describe, expect, it } from "vitest";
import { CLOSED } from "../../src/control/fleet/lent.ts";
import { TallyLender } from "../../src/workers/lender.ts";
import type { LentReplica, Order } from "../../src/workers/messages.ts";
import { Tally, tallyMemory } from "../../src/workers/tally.ts";
import { Rig } from "../support/make-plane.ts";
import { makeReplica } from "../support/make-replica.ts";
import { makeRecipe } from "../support/make.ts";

const WORKER = 1;
const never = new AbortController().signal;

/** A lender with one worker, of which is kept what it was told. */
function setUp() {
  const tally = new Tally(tallyMemory(1));
  const lender = new TallyLender(tally, "predicted-ttft");
  const orders: Order[] = [];
  lender.join(WORKER, (order) => orders.push(order));
  const lend = (name: string) => {
    const replica = makeReplica("loading", { name });
    replica.located({ id: name, name }, new URL("http://127.0.0.1:1"), 0);
    const lent = lender.lend(replica)!;
    return { replica, lent, told: lastLent(orders) };
  };
  const kinds = () => orders.splice(0).map(({ kind }) => kind);
  return { tally, lender, lend, kinds };
}

function lastLent(orders: readonly Order[]): LentReplica {
  const order = orders.at(-1);
  if (order?.kind !== "lent") throw new Error(`told was ${order?.kind}`);
  return order.replica;
}

describe("a place", () => {
  it("goes to another replica when every worker forgot the last one and nothing of it is in flight", () => {
    const { tally, lender, lend } = setUp();
    const first = lend("first");
    tally.setLimit(first.told.place, 4);
    tally.take(first.told.place, WORKER, 5);
    lender.end(first.lent);
    expect(lend("second").told.place).not.toBe(first.told.place);
    lender.forgot(WORKER, first.told);
    expect(lend("third").told.place).not.toBe(first.told.place);
    tally.giveBack(first.told.place, WORKER, 9);
    expect(lend("fourth").told.place).toBe(first.told.place);
  });

  it("is nothing any more to the replica that had it before", () => {
    const { tally, lender, lend } = setUp();
    const before = lend("before");
    const { place } = before.told;
    tally.setLimit(place, 4);
    tally.take(place, WORKER, 5);
    tally.giveBack(place, WORKER, 9);
    lender.end(before.lent);
    lender.forgot(WORKER, before.told);
    const after = lend("after");
    expect(after.told.place).toBe(place);
    after.lent.limit(4);
    tally.take(place, WORKER, 50);
    tally.queue(place, WORKER).tell({ prompts: 2, tokens: 20 });
    const { inFlight, usedAt, grants, queue } = before.lent;
    expect([inFlight, usedAt, grants, queue.others.prompts, queue.others.tokens]).toEqual([0, 9, 0, 0, 0]);
    before.lent.limit(CLOSED.away);
    before.lent.owns(3);
    before.lent.queue.tell({ prompts: 7, tokens: 70 });
    expect([tally.limit(place), tally.total(place)]).toEqual([4, 1]);
    expect(tally.queue(place, WORKER).others.prompts).toBe(0);
    expect([after.lent.inFlight, after.lent.usedAt]).toEqual([1, 50]);
  });

  it("was used never before it was used", () => {
    expect(setUp().lend("new").lent.usedAt).toBe(-Infinity);
  });

  it("of a worker that died is empty, and said to be where it had something", () => {
    const { tally, lender, lend } = setUp();
    const [used, unused] = [lend("used"), lend("unused")];
    for (const { told } of [used, unused]) tally.setLimit(told.place, 4);
    tally.take(used.told.place, WORKER, 5);
    expect(lender.leave(WORKER)).toEqual([used.replica]);
    expect(used.lent.inFlight).toBe(0);
  });

  it("is told to a worker that comes later, with what its cache holds, and not when it is taken back", () => {
    const { lender, lend, kinds } = setUp();
    const [kept, ended] = [lend("kept"), lend("ended")];
    lender.cacheHolds(kept.replica, 1_000);
    lender.end(ended.lent);
    expect(kinds()).toEqual(["lent", "lent", "cache", "taken back"]);
    const later: Order[] = [];
    lender.join(2, (order) => later.push(order));
    expect(later.map(({ kind }) => kind)).toEqual(["lent", "cache"]);
  });
});

describe("a replica that is lent", () => {
  it("has room again for workers as soon as a lease of the fleet's own ends", async () => {
    const { tally, lender } = setUp();
    const rig = new Rig({ recipes: [makeRecipe({ maxInFlight: 1 })], lender });
    rig.request("tiny", { serveMs: 10 });
    await rig.clock.advance(30_000);
    const lease = await rig.plane.pool.acquire("tiny", { bodyBytes: 0 }, never);
    const take = () => tally.take(0, WORKER, rig.clock.now());
    expect(take()).not.toBe("taken");
    lease.report({ kind: "completed" });
    lease.release();
    expect(take()).toBe("taken");
  });
});
