import { describe, expect, it } from "vitest";
import { Desk } from "../../src/workers/desk.ts";
import { TallyLender } from "../../src/workers/lender.ts";
import type { Order, Report } from "../../src/workers/messages.ts";
import { Tally, tallyMemory } from "../../src/workers/tally.ts";
import { settle } from "../support/clock.ts";
import { Rig } from "../support/make-plane.ts";
import { makeRecipe } from "../support/make.ts";

const WORKER = 1;
const asks = (id: number, model = "tiny"): Report => ({ kind: "acquire", id, model, request: { bodyBytes: 0 } });
const leaves = (id: number): Report => ({ kind: "left", id });
const releases = (id: number): Report => ({ kind: "released", id });

/** A desk before a model whose one replica serves one request at a time. */
async function setUp() {
  const tally = new Tally(tallyMemory(1));
  const lender = new TallyLender(tally, "predicted-ttft");
  const rig = new Rig({ recipes: [makeRecipe({ maxInFlight: 1 })], lender });
  rig.request("tiny", { serveMs: 10 });
  await rig.clock.advance(30_000);
  const { pool, fleet } = rig.plane;
  const heard: string[] = [];
  const others: typeof fleet.others = {
    freed: ({ name }) => heard.push(`freed ${name}`),
    report: ({ name }, _, { kind }) => heard.push(`${kind} ${name}`),
    sweep() {},
  };
  const orders: Order[] = [];
  const desk = new Desk(WORKER, (order) => orders.push(order), { clock: rig.clock, pool, fleet: { others }, lender });
  const told = orders.flatMap((order) => (order.kind === "lent" ? order.replica : [])).at(-1)!;
  const answers = () =>
    orders.flatMap((order) =>
      order.kind === "granted" || order.kind === "refused" ? `${order.kind} ${order.id}` : [],
    );
  const [replica] = fleet.replicas.ofModel("tiny");
  return { desk, pool, fleet, told, heard, answers, tally, leases: () => replica?.leases };
}

interface Case {
  readonly what: string;
  /** Undefined: what was asked is worked off first. */
  readonly said: readonly (Report | undefined)[];
  readonly answers: readonly string[];
  /** What the fleet has given out then. */
  readonly leases: number;
}

const CASES: readonly Case[] = [
  { what: "is granted where there is room", said: [asks(1)], answers: ["granted 1"], leases: 1 },
  { what: "is refused where there is no such model", said: [asks(1, "none")], answers: ["refused 1"], leases: 0 },
  { what: "is given back once", said: [asks(1), releases(1), releases(1)], answers: ["granted 1"], leases: 0 },
  { what: "waits where there is no room", said: [asks(1), asks(2)], answers: ["granted 1"], leases: 1 },
  {
    what: "is granted when room comes",
    said: [asks(1), asks(2), undefined, releases(1)],
    answers: ["granted 1", "granted 2"],
    leases: 1,
  },
  {
    what: "is called off when its client leaves while it waits",
    said: [asks(1), asks(2), undefined, leaves(2), undefined, releases(1)],
    answers: ["granted 1", "refused 2"],
    leases: 0,
  },
  {
    what: "is given back when its client left as it was granted",
    said: [asks(1), leaves(1)],
    answers: ["granted 1"],
    leases: 0,
  },
  {
    what: "is given back when its client left as its wait ended",
    said: [asks(1), asks(2), undefined, releases(1), leaves(2)],
    answers: ["granted 1"],
    leases: 0,
  },
];

describe("what a worker asks for", () => {
  it.each(CASES)("$what", async ({ said, answers, leases }) => {
    const desk = await setUp();
    for (const report of said)
      if (report === undefined) await settle();
      else desk.desk.hear(report);
    await settle();
    expect(desk.answers()).toEqual(answers);
    expect(desk.leases()).toBe(leases);
    desk.desk.close();
  });
});

describe("a worker that died", () => {
  it("holds nothing any more, and waits for nothing", async () => {
    const { desk, pool, leases, tally, told, heard } = await setUp();
    desk.hear(asks(1));
    desk.hear(asks(2));
    await settle();
    desk.close();
    await settle();
    expect(leases()).toBe(0);
    expect(pool.tryAcquire("tiny", { bodyBytes: 0 })).toBeDefined();
    expect([tally.ofWorkers(told.place), heard]).toEqual([0, []]);
  });

  it("is no loss to what it had borrowed", async () => {
    const { desk, tally, told, heard } = await setUp();
    expect(tally.take(told.place, WORKER, 1)).toBe("taken");
    desk.close();
    expect([tally.ofWorkers(told.place), heard]).toEqual([0, [`freed ${told.name}`]]);
  });
});

describe("what a worker says of a replica that was lent to it", () => {
  it("is passed on, and ignored where another replica has the place", async () => {
    const { desk, told, heard } = await setUp();
    const { place, turn } = told;
    const says = (ofTurn: number) => {
      desk.hear({ kind: "freed", place, turn: ofTurn });
      desk.hear({ kind: "failed", place, turn: ofTurn, outcome: { kind: "unreachable", error: "refused" } });
    };
    says(turn + 1);
    says(turn - 1);
    expect(heard).toEqual([]);
    says(turn);
    expect(heard).toEqual([`freed ${told.name}`, `unreachable ${told.name}`]);
  });
});
