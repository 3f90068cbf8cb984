import { describe, expect, it } from "vitest";
import { DemandBook } from "../../../src/control/fleet/demand.ts";
import type { RequestTraits } from "../../../src/control/fleet/lease.ts";
import { AimError } from "../../../src/errors.ts";
import { FakeClock } from "../../support/clock.ts";

const { signal } = new AbortController();
const LIMITS = { maxPerModel: 1000, maxTotal: 10_000, maxBytes: 2 ** 30 };

function setUp() {
  const clock = new FakeClock();
  const book = new DemandBook({
    clock,
    settings: { waiters: LIMITS },
    retryAfterMs: () => 0,
    journal: { turnedAway() {} },
  });
  const ask = (model: string, since: number, traits: Partial<RequestTraits> = {}) =>
    book.waiters.add(model, { since, request: { bodyBytes: 1, ...traits }, signal, onLeave: () => {} });
  return { clock, book, ask };
}

describe("demand", () => {
  it("is one of all the requests for a model, and one of each order, by rank", async () => {
    const { clock, book, ask } = setUp();
    void ask("late", 70_000, { priority: "high" });
    void ask("early", 20_000, { priority: "low" });
    void ask("early", 30_000, { mayStart: false });
    await clock.advance(25_000);
    void book.orders.add({ request: { model: "ordered" } }, signal, () => {});
    expect(book.list()).toMatchObject([
      { id: "requests:late", since: 70_000, rank: 10_000, waiting: 1, mayStart: true },
      { id: "order:1", since: 25_000, rank: 25_000, waiting: 1, mayStart: true },
      { id: "requests:early", since: 20_000, rank: 30_000, waiting: 2, mayStart: true },
    ]);
  });

  it("says when nobody behind it may start a replica", () => {
    const { book, ask } = setUp();
    void ask("a", 0, { mayStart: false });
    expect(book.list()).toMatchObject([{ id: "requests:a", mayStart: false }]);
  });

  it("ends with a word to everybody", async () => {
    const { book, ask } = setUp();
    const waiting = ask("a", 0);
    const ordered = book.orders.add({ request: { model: "b" } }, signal, () => {});
    book.refuseAll(new AimError("shutting_down", "going down"));
    await expect(waiting).rejects.toThrow("going down");
    await expect(ordered).rejects.toThrow("going down");
    expect(book.isEmpty).toBe(true);
  });
});
