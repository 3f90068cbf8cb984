import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FairQueue } from "../../../src/control/fleet/fair-queue.ts";
import type { RequestTraits } from "../../../src/control/fleet/lease.ts";
import type { Queued } from "../../../src/control/fleet/queued.ts";

interface Named extends Queued {
  readonly name: string;
}

function entry(name: string, since = 0, traits: Partial<RequestTraits> = {}): Named {
  return { name, since, request: { bodyBytes: 0, client: name.charAt(0), ...traits } };
}

function take(queue: FairQueue<Named>): string | undefined {
  const { next } = queue;
  if (next === undefined) return undefined;
  queue.charge(next);
  queue.delete(next);
  return next.name;
}

/** As they are served, each by its client's letter and its number. */
function served(queue: FairQueue<Named>): string {
  return Array.from({ length: queue.size }, () => take(queue)).join(" ");
}

describe("a fair queue", () => {
  it("serves clients in turn, and each client's own in the order they came", () => {
    const queue = new FairQueue<Named>();
    for (const name of ["a1", "a2", "a3", "a4", "b1", "b2", "c1"]) queue.add(entry(name));
    expect(served(queue)).toBe("a1 b1 c1 a2 b2 a3 a4");
  });

  it("gives each client as many turns in a row as its weight says", () => {
    const queue = new FairQueue<Named>();
    for (const name of ["a1", "a2", "a3", "a4", "a5"]) queue.add(entry(name, 0, { weight: 3 }));
    for (const name of ["b1", "b2", "b3"]) queue.add(entry(name));
    expect(served(queue)).toBe("a1 a2 a3 b1 a4 a5 b2 b3");
  });

  it("takes nobody's turn for one that leaves", () => {
    const queue = new FairQueue<Named>();
    const leaving = entry("a1");
    queue.add(leaving);
    for (const name of ["a2", "b1"]) queue.add(entry(name));
    expect(queue.delete(leaving)).toBe(true);
    expect(queue.delete(leaving)).toBe(false);
    expect(served(queue)).toBe("a2 b1");
  });

  it("gives nobody more by coming back", () => {
    const queue = new FairQueue<Named>();
    for (const name of ["a1", "b1", "b2"]) queue.add(entry(name));
    expect(take(queue)).toBe("a1");
    queue.add(entry("a2"));
    expect(served(queue)).toBe("b1 a2 b2");
  });

  it("serves a higher priority first, but nobody who came a minute before it", () => {
    const queue = new FairQueue<Named>();
    queue.add(entry("n", 0));
    queue.add(entry("o", 10_000));
    queue.add(entry("h", 59_000, { priority: "high" }));
    queue.add(entry("i", 61_000, { priority: "high" }));
    queue.add(entry("l", 0, { priority: "low" }));
    expect(served(queue)).toBe("h n i o l");
  });

  it("treats requests that are nobody's in particular as one client's", () => {
    const queue = new FairQueue<Named>();
    for (const name of ["x1", "x2"]) queue.add({ name, since: 0, request: { bodyBytes: 0 } });
    queue.add(entry("b1"));
    expect(served(queue)).toBe("x1 b1 x2");
  });

  it("lets nobody starve: whoever waits long enough is served, whatever comes after", () => {
    const newcomer = fc.record({
      client: fc.constantFrom("a", "b", "c"),
      priority: fc.constantFrom("high" as const, "normal" as const, "low" as const),
      weight: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(newcomer, fc.array(newcomer, { minLength: 200, maxLength: 200 }), (victim, newcomers) => {
        const queue = new FairQueue<Named>();
        queue.add(entry("victim", 0, victim));
        // One comes and one goes each second, all of them later than the victim.
        for (const [index, traits] of newcomers.entries()) {
          queue.add(entry("x", (index + 1) * 1_000, traits));
          if (take(queue) === "victim") return true;
        }
        return false;
      }),
    );
  });

  it("costs the same however many wait", () => {
    const looks = (count: number) => {
      let reads = 0;
      const queue = new FairQueue<Named>();
      const watched = (name: string): Named => ({
        ...entry(name),
        get since() {
          reads += 1;
          return 0;
        },
      });
      for (let one = 0; one < count; one++) queue.add(watched(`${"abc".charAt(one % 3)}${one}`));
      take(queue);
      return reads;
    };
    expect(looks(10_000)).toBe(looks(10));
  });
});
