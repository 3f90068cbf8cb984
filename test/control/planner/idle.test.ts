import { describe, expect, it } from "vitest";
import { ids, NOW, replica, requests } from "../../support/make-snapshot.ts";
import { makeRecipe } from "../../support/make.ts";
import { decide } from "../../support/plan-words.ts";

describe("a sleeper whose recipe has changed", () => {
  const stale = replica("a", { state: "sleeping", stale: true, residualShare: 0.3, waiting: 1, gpus: ids(0, 4) });

  it("is not woken for who waits for its model, and makes room for another one", () => {
    const demands = [requests("a")];
    expect(decide({ replicas: [stale], demands })).toEqual(["stop a-1 (stale)", "start a on 4"]);
    expect(decide({ replicas: [{ ...stale, gpus: ids(0, 8) }], demands })).toEqual(["stop a-1 (stale)"]);
  });
});

describe("a replica that nobody uses beside one that has more to do than it is meant for", () => {
  const recipes = [makeRecipe({ id: "a", gpus: 2, replicas: { min: 0, max: 2, target: 4 } })];
  const busy = (inFlight: number) => replica("a", { gpus: ids(0, 2), inFlight });
  const spare = replica("a", { name: "a-2", gpus: ids(2, 4), idleSince: NOW - 60_000 });
  const sleep = { afterMs: 30_000, level: 1, hostBytes: 0 } as const;

  it("stays: another one would have to be started in its place", () => {
    expect(decide({ recipes, replicas: [busy(5), spare] })).toEqual([]);
    expect(decide({ recipes, replicas: [busy(5), { ...spare, sleep, keepAliveMs: 90_000 }] })).toEqual([]);
  });

  it("goes when the others can do it all", () => {
    expect(decide({ recipes, replicas: [busy(4), spare] })).toEqual(["stop a-2 (idle)"]);
    expect(decide({ recipes, replicas: [busy(4), { ...spare, sleep, keepAliveMs: 90_000 }] })).toEqual([
      "sleep a-2 (idle)",
    ]);
  });

  it("goes when there are more than its recipe starts by itself", () => {
    const third = { ...spare, name: "a-3", gpus: ids(4, 6), inFlight: 1 };
    expect(decide({ recipes, replicas: [busy(9), spare, third] })).toEqual(["stop a-2 (idle)"]);
  });
});
