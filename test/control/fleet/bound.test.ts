import { describe, expect, it } from "vitest";
import { Bound } from "../../../src/control/fleet/bound.ts";
import type { Queued } from "../../../src/control/fleet/queued.ts";

function of(client: string): Queued {
  return { since: 0, request: { bodyBytes: 0, client } };
}

function full(counts: Readonly<Record<string, number>>): Bound<Queued> {
  const most = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const bound = new Bound<Queued>({ most, amountOf: () => 1, reached: "full" });
  for (const [client, count] of Object.entries(counts)) for (let one = 0; one < count; one++) bound.add(of(client));
  return bound;
}

describe("a bound that is reached", () => {
  it.each<[Readonly<Record<string, number>>, Record<string, boolean>]>([
    [{ a: 8 }, { a: false, b: true }],
    [
      { a: 5, b: 3 },
      { a: false, b: true, c: true },
    ],
    [
      { a: 4, b: 4 },
      { a: false, b: false, c: true },
    ],
    [
      { a: 3, b: 3, c: 2 },
      { a: false, b: false, c: false, d: true },
    ],
    [
      { a: 2, b: 1 },
      { a: false, b: false, c: true, d: true },
    ],
    [
      { a: 1, b: 1 },
      { a: false, b: false, c: false },
    ],
    [{}, { a: false }],
  ])("%j: admits those below their share: %j", (counts, admitted) => {
    const bound = full(counts);
    const found = Object.keys(admitted).map((client) => [client, bound.admits(of(client))]);
    expect(Object.fromEntries(found)).toEqual(admitted);
  });

  it("names the newest of the client that holds most", () => {
    const bound = full({ a: 1, b: 2 });
    const newest = of("b");
    bound.add(newest);
    expect(bound.isOver).toBe(true);
    expect(bound.greediest).toBe(newest);
    bound.delete(newest);
    expect(bound.isOver).toBe(false);
    expect(bound.greediest).not.toBe(newest);
  });

  it("forgets a client of whom nothing waits", () => {
    const bound = full({ a: 6 });
    const one = of("b");
    bound.add(one);
    bound.delete(one);
    bound.delete(one);
    expect(bound.admits(of("c"))).toBe(true);
    expect(bound.isOver).toBe(false);
  });
});
