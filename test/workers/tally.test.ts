import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Tally, tallyMemory } from "../../src/workers/tally.ts";
import { until } from "../support/until.ts";
import { type HammerStart, WITNESS } from "./hammer.ts";

const HAMMER = join(import.meta.dirname, "hammer.ts");

describe("the tally", () => {
  it("gives no more slots than the limit, whoever asks in whatever order, and none where it is closed", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("take" as const), thread: fc.integer({ min: 1, max: 3 }) }),
      fc.record({ kind: fc.constant("giveBack" as const), thread: fc.integer({ min: 1, max: 3 }) }),
      fc.record({ kind: fc.constant("limit" as const), limit: fc.integer({ min: -2, max: 4 }) }),
      fc.record({ kind: fc.constant("own" as const), count: fc.integer({ min: 0, max: 2 }) }),
      fc.record({ kind: fc.constant("bury" as const), thread: fc.integer({ min: 1, max: 3 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const tally = new Tally(tallyMemory(3));
        const held = [0, 0, 0, 0];
        let limit = 0;
        const sum = () => held.reduce((total, count) => total + count, 0);
        for (const one of steps) {
          if (one.kind === "limit") tally.setLimit(7, (limit = one.limit));
          else if (one.kind === "own") tally.setOwn(7, (held[0] = one.count));
          else if (one.kind === "bury") {
            expect(tally.bury(one.thread)).toEqual((held[one.thread] ?? 0) > 0 ? [7] : []);
            held[one.thread] = 0;
          } else if (one.kind === "take") {
            const isFree = limit > 0 && sum() < limit;
            expect(tally.take(7, one.thread, 1) === "taken").toBe(isFree);
            if (isFree) held[one.thread] = (held[one.thread] ?? 0) + 1;
          } else if ((held[one.thread] ?? 0) > 0) {
            held[one.thread] = (held[one.thread] ?? 0) - 1;
            expect(tally.giveBack(7, one.thread, 1)).toBe(limit <= 0 ? "heard" : "unheard");
          }
          expect(tally.total(7)).toBe(sum());
          expect(tally.ofWorkers(7)).toBe(sum() - (held[0] ?? 0));
        }
      }),
    );
  });

  it("says of a replica that it is free of requests where somebody waits, and else keeps silent", () => {
    const tally = new Tally(tallyMemory(1));
    tally.setLimit(0, 2);
    tally.heed(true);
    tally.take(0, 1, 1);
    tally.take(0, 1, 1);
    expect([tally.giveBack(0, 1, 2), tally.giveBack(0, 1, 3)]).toEqual(["unheard", "heard"]);
    expect([tally.usedAt(0), tally.grants(0)]).toEqual([3, 2]);
  });

  it("lets one thread alone try a replica that is on trial", () => {
    const tally = new Tally(tallyMemory(2));
    tally.setLimit(3, -1);
    const trial = { sign: -1, closed: 0 };
    expect([tally.claim(3, trial), tally.claim(3, trial)]).toEqual([true, false]);
    expect(tally.limit(3)).toBe(0);
  });

  it("shows each thread what the others have queued, and nothing of the dead", () => {
    const tally = new Tally(tallyMemory(2));
    tally.queue(5, 1).tell({ prompts: 2, tokens: 300 });
    tally.queue(5, 0).tell({ prompts: 1, tokens: 50 });
    expect({ ...tally.queue(5, 2).others }).toEqual({ prompts: 3, tokens: 350 });
    expect({ ...tally.queue(5, 1).others }).toEqual({ prompts: 1, tokens: 50 });
    tally.bury(1);
    expect({ ...tally.queue(5, 2).others }).toEqual({ prompts: 1, tokens: 50 });
  });

  it("holds with real threads: never over the limit, and empty for good once it was closed and counted", async () => {
    const memory = tallyMemory(3);
    const tally = new Tally(memory);
    const witness = new SharedArrayBuffer(16);
    const seen = new Int32Array(witness);
    tally.setLimit(0, 2);
    const threads = [1, 2, 3].map((thread) => {
      const workerData: HammerStart = { memory, thread, witness };
      return new Worker(HAMMER, { workerData });
    });
    const ends = threads.map((thread) => once(thread, "exit"));
    for (let round = 1; round <= 20; round++) {
      await until(() => Atomics.load(seen, WITNESS.rounds) > round * 2_000, { what: "the threads at work" });
      tally.setLimit(0, 0);
      await until(() => tally.total(0) === 0, { what: "the last slot given back" });
      const before = Atomics.load(seen, WITNESS.held);
      const rounds = Atomics.load(seen, WITNESS.rounds);
      await until(() => Atomics.load(seen, WITNESS.rounds) > rounds + 100, { what: "more attempts" });
      expect([before, Atomics.load(seen, WITNESS.held)]).toEqual([0, 0]);
      tally.setLimit(0, 2);
    }
    Atomics.store(seen, WITNESS.end, 1);
    await Promise.all(ends);
    expect(Atomics.load(seen, WITNESS.most)).toBeLessThanOrEqual(2);
    expect([tally.total(0), tally.grants(0) > 0]).toEqual([0, true]);
  });
});
