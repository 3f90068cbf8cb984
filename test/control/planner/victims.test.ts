import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { plan } from "../../../src/control/planner.ts";
import { cheapest, type Group } from "../../../src/control/planner/victims.ts";
import type { ReplicaSnapshot } from "../../../src/control/snapshot.ts";
import { GPUS, ids, NOW, order, replica, requests, snapshot } from "../../support/make-snapshot.ts";
import { makeRecipe } from "../../support/make.ts";
import { decide } from "../../support/plan-words.ts";

function group(name: string, gain: number, heat: number): Group {
  return { occupants: [replica(name, { heat })], gain };
}

const byHeat = ({ heat }: ReplicaSnapshot) => heat;

function costOf(groups: readonly Group[]): number {
  return groups.reduce((sum, { occupants }) => sum + occupants.reduce((all, one) => all + byHeat(one), 0), 0);
}

describe("the cheapest set", () => {
  it("may be several small ones, or one large one", () => {
    const large = group("large", 4, 5);
    const small = [group("s1", 2, 2), group("s2", 2, 2)];
    expect(
      cheapest([large, ...small], 4, byHeat)
        ?.map(({ model }) => model)
        .sort(),
    ).toEqual(["s1", "s2"]);
    expect(cheapest([large, group("s3", 2, 9), ...small.slice(1)], 4, byHeat)?.map(({ model }) => model)).toEqual([
      "large",
    ]);
  });

  it("is none where all together are not enough", () => {
    expect(cheapest([group("a", 1, 1)], 2, byHeat)).toBeUndefined();
  });

  it("costs no more than any other that suffices, and none of it can be left out", () => {
    const groups = fc.array(fc.record({ gain: fc.integer({ min: 1, max: 4 }), heat: fc.nat(20) }), { maxLength: 8 });
    fc.assert(
      fc.property(groups, fc.integer({ min: 1, max: 8 }), (items, wanted) => {
        const all = items.map(({ gain, heat }, index) => group(`m${index}`, gain, heat));
        const chosen = cheapest(all, wanted, byHeat);
        const gainOf = (some: readonly Group[]) => some.reduce((sum, { gain }) => sum + gain, 0);
        const sufficient = subsets(all).filter((some) => gainOf(some) >= wanted);
        if (chosen === undefined) {
          expect(sufficient).toEqual([]);
          return;
        }
        const taken = all.filter(({ occupants }) => occupants.some((one) => chosen.includes(one)));
        expect(gainOf(taken)).toBeGreaterThanOrEqual(wanted);
        expect(costOf(taken)).toBe(Math.min(...sufficient.map(costOf)));
        for (const one of taken) expect(gainOf(taken) - one.gain).toBeLessThan(wanted);
      }),
    );
  });
});

function subsets<T>(items: readonly T[]): T[][] {
  return items.reduce<T[][]>((sets, item) => [...sets, ...sets.map((set) => [...set, item])], [[]]);
}

describe("where GPUs of two kinds suit", () => {
  const others = GPUS.slice(0, 4).map((gpu) => ({ ...gpu, id: `1${gpu.id}`, product: "MI250" }));
  const runtime = { gpus: [...GPUS, ...others] };

  it("those whom nobody uses make room on the one, though the others on the other are kept", () => {
    const kept = replica("a", { gpus: ids(0, 8), pinned: true });
    const idle = replica("b", { gpus: others.map(({ id }) => id), keepAliveMs: Infinity });
    expect(decide({ runtime, replicas: [kept, idle], demands: [requests("c")] })).toEqual(["stop b-1 (evicted)"]);
  });

  it("what comes back on the one is waited for, whatever is free of the other", () => {
    const leaving = replica("b", { gpus: others.map(({ id }) => id), state: "stopping" });
    const busy = replica("a", { gpus: ids(0, 7), inFlight: 1 });
    const recipes = [...["a", "b", "c"].map((id) => makeRecipe({ id, gpus: 4 })), makeRecipe({ id: "d", gpus: 1 })];
    const state = { runtime, recipes, replicas: [busy, leaving], demands: [requests("c"), requests("d")] };
    expect(decide(state)).toEqual(["start d on 1"]);
    expect(plan(snapshot(state), NOW).holds.get("requests:c")?.why).toBe("coming");
  });
});

describe("one more replica of a model", () => {
  it("is not had from those there are", () => {
    const unused = replica("a", { gpus: ids(0, 8), keepAliveMs: Infinity });
    const recipes = [makeRecipe({ id: "a", gpus: 4, replicas: { min: 0, max: 3 } })];
    expect(decide({ recipes, replicas: [unused], demands: [order({ model: "a" }, { atLeast: 2 })] })).toEqual([
      "refuse a: no_capacity",
    ]);
  });
});

describe("who has to go", () => {
  const recipes = [makeRecipe({ id: "c", gpus: 4 })];
  const idle = { idleSince: NOW - 3_600_000, readyAt: NOW - 7_200_000, keepAliveMs: Infinity };
  const demands = [requests("c")];

  it("is the one that is asked for least, rather than the one that was asked last", () => {
    const replicas = [
      replica("a", { ...idle, gpus: ids(0, 4), heat: 50, idleSince: NOW - 4_000_000 }),
      replica("b", { ...idle, gpus: ids(4, 8), heat: 1 }),
    ];
    expect(decide({ recipes, replicas, demands })).toEqual(["stop b-1 (evicted)"]);
  });

  it("is the one whose load is short, of two that are asked for alike", () => {
    const replicas = [
      replica("a", { ...idle, gpus: ids(0, 4), loadMs: 300_000, idleSince: NOW - 4_000_000 }),
      replica("b", { ...idle, gpus: ids(4, 8), loadMs: 30_000 }),
    ];
    expect(decide({ recipes, replicas, demands })).toEqual(["stop b-1 (evicted)"]);
  });

  it("is one of several replicas of a model, rather than the only one of another", () => {
    const replicas = [
      replica("a", { ...idle, gpus: ids(0, 4), heat: 2 }),
      replica("b", { ...idle, gpus: ids(4, 6), heat: 2, name: "b-1" }),
      replica("b", { ...idle, gpus: ids(6, 8), heat: 2, name: "b-2" }),
    ];
    expect(decide({ recipes: [makeRecipe({ id: "c", gpus: 2 })], replicas, demands })).toEqual(["stop b-1 (evicted)"]);
  });
});
