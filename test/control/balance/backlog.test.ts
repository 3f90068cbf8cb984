import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { Backlog, type Unread } from "../../../src/control/balance/backlog.ts";
import { ModelRate, PrefillRate } from "../../../src/control/balance/rates.ts";

/** What a replica of which nothing was seen reads in a second. */
const RATE = 10_000;

describe("the backlog of a replica", () => {
  let rate: PrefillRate;
  let backlog: Backlog;

  function send(tokens: number, since = 0, silent = false): Unread {
    const prompt = { tokens, since, silent };
    backlog.add(prompt);
    return prompt;
  }

  beforeEach(() => {
    rate = new PrefillRate(new ModelRate());
    backlog = new Backlog(rate);
  });

  it("is what was sent and is not read", () => {
    const first = send(500);
    const second = send(300);
    expect([backlog.prompts, backlog.tokens, backlog.tokensLeft(0)]).toEqual([2, 800, 800]);
    backlog.read(first, 0);
    expect([backlog.prompts, backlog.tokens, backlog.tokensLeft(0)]).toEqual([1, 300, 300]);
    backlog.drop(second, 0);
    expect([backlog.prompts, backlog.tokens, backlog.tokensLeft(0)]).toEqual([0, 0, 0]);
  });

  it("loses a prompt once, however often its end is told", () => {
    const [prompt] = [send(500), send(300)];
    for (const now of [1, 2]) {
      backlog.read(prompt, now);
      backlog.drop(prompt, now);
    }
    expect(backlog.tokens).toBe(300);
  });

  it("counts what the eldest has been read of by now, and nothing of the others", () => {
    send(2_000);
    send(1_000);
    expect(backlog.tokensLeft(100)).toBe(2_000);
    expect(backlog.tokensLeft(200)).toBe(1_000);
    expect(backlog.tokensLeft(9_000)).toBe(1_000);
  });

  it("begins with a prompt when the one before it is read", () => {
    const first = send(1_000);
    send(1_000);
    backlog.read(first, 300);
    expect(backlog.tokensLeft(300)).toBe(1_000);
    expect(backlog.tokensLeft(350)).toBeLessThan(600);
  });

  it("begins anew when the request of the eldest ends, and goes on when another one does", () => {
    const [first, second] = [send(1_000), send(1_000)];
    send(1_000);
    backlog.drop(second, 50);
    expect(backlog.tokensLeft(50)).toBe(1_500);
    backlog.drop(first, 60);
    expect(backlog.tokensLeft(60)).toBe(1_000);
  });

  it("learns the rate from the time for which a prompt was read, not from that for which it waited", () => {
    for (let at = 0; at < 400_000; at += 4_000) {
      const prompts = [send(4_000, at), send(4_000, at)];
      backlog.read(prompts[0]!, at + 2_000);
      backlog.read(prompts[1]!, at + 4_000);
    }
    expect(rate.perSecond / 2_000).toBeCloseTo(1, 1);
  });

  it("learns nothing from requests that ended without an answer", () => {
    for (let at = 0; at < 100_000; at += 1_000) backlog.drop(send(5_000, at), at + 999);
    expect(rate.perSecond).toBe(RATE);
  });

  describe("of prompts whose answers come all at once", () => {
    it("takes them for read when they must have been", () => {
      send(1_000, 0, true);
      send(1_000, 0, true);
      expect(backlog.tokensLeft(50)).toBe(1_500);
      expect([backlog.tokensLeft(150), backlog.prompts]).toEqual([1_000, 2]);
      expect([backlog.tokensLeft(250), backlog.prompts]).toEqual([500, 1]);
      expect([backlog.tokensLeft(400), backlog.prompts]).toEqual([0, 0]);
    });

    it("takes those for read that were sent before one whose answer begins", () => {
      send(1_000, 0, true);
      const second = send(1_000);
      const third = send(1_000, 0, true);
      backlog.read(second, 150);
      expect([backlog.tokens, backlog.prompts]).toEqual([1_000, 1]);
      backlog.read(third, 160);
      expect(backlog.tokens).toBe(0);
    });

    it("waits for one before them whose answer has not begun", () => {
      send(1_000);
      send(1_000, 0, true);
      expect([backlog.tokensLeft(9_000), backlog.prompts]).toEqual([1_000, 2]);
    });

    it("learns nothing from when they come", () => {
      for (let at = 0; at < 1_000_000; at += 10_000) backlog.read(send(90_000, at, true), at + 9_999);
      expect(rate.perSecond).toBe(RATE);
    });
  });

  it("is never less than nothing, and nothing when nothing is under way", () => {
    const step = fc.record({
      kind: fc.constantFrom("add", "read", "drop"),
      tokens: fc.integer({ min: 0, max: 80_000 }).map((bytes) => bytes / 4),
      silent: fc.boolean(),
      which: fc.nat(),
      after: fc.integer({ min: 0, max: 500 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        rate = new PrefillRate(new ModelRate());
        backlog = new Backlog(rate);
        const sent: Unread[] = [];
        let now = 0;
        for (const { kind, tokens, silent, which, after } of steps) {
          now += after;
          const one = sent[which % Math.max(1, sent.length)];
          if (kind === "add") sent.push(send(tokens, now, silent));
          else if (one !== undefined) backlog[kind === "read" ? "read" : "drop"](one, now);
          const left = backlog.tokensLeft(now);
          expect(left).toBeGreaterThanOrEqual(0);
          expect(left).toBeLessThanOrEqual(backlog.tokens);
          expect(backlog.prompts).toBeLessThanOrEqual(sent.length);
        }
        for (const prompt of sent) backlog.drop(prompt, now);
        expect([backlog.tokens, backlog.prompts, backlog.tokensLeft(now)]).toEqual([0, 0, 0]);
      }),
    );
  });
});
