import { describe, expect, it } from "vitest";
import {
  leastInFlight,
  leastQueuedTokens,
  predictedTtft,
  roundRobin,
  session,
  type Ask,
  type Balancer,
  type Candidate,
} from "../../../src/control/balance/balancer.ts";

function candidate(known: Partial<Candidate> = {}): Candidate {
  return {
    hasRoom: true,
    isStale: false,
    inFlight: 0,
    lastGrant: 0,
    queuedPrompts: 0,
    queuedTokens: 0,
    rate: 1_000,
    ...known,
  };
}

function ask(known: Partial<Ask> = {}): Ask {
  return { tokens: 1_000, cachedTokens: [], sessionAt: -1, ...known };
}

const ALL: readonly (readonly [string, Balancer])[] = Object.entries({
  leastInFlight,
  leastQueuedTokens,
  predictedTtft,
  roundRobin,
  session,
});

describe.each(ALL)("%s", (_, balance) => {
  it("never picks one without room", () => {
    const full = candidate({ hasRoom: false });
    expect(balance([full, candidate({ inFlight: 9, queuedTokens: 9, lastGrant: 9 })], ask({ sessionAt: 0 }))).toBe(1);
    expect(balance([full], ask({ sessionAt: 0 }))).toBe(-1);
    expect(balance([], ask())).toBe(-1);
  });

  it("gives a stale one only what no other has room for", () => {
    const stale = candidate({ isStale: true });
    const busy = candidate({ inFlight: 9, queuedTokens: 9_000, lastGrant: 9 });
    expect(balance([stale, busy], ask({ sessionAt: 0, cachedTokens: [1_000, 0] }))).toBe(1);
    expect(balance([busy, stale], ask({ sessionAt: 1 }))).toBe(0);
    expect(balance([stale, candidate({ ...busy, hasRoom: false })], ask())).toBe(0);
    expect(balance([candidate({ isStale: true, lastGrant: 1 }), stale], ask())).toBe(1);
  });

  it("picks among equals the one whose last request is longest ago", () => {
    expect(
      balance([candidate({ lastGrant: 5 }), candidate({ lastGrant: 4 }), candidate({ lastGrant: 6 })], ask()),
    ).toBe(1);
  });
});

describe("balancing by requests in flight", () => {
  it("prefers the least busy, whatever they are busy with", () => {
    const few = candidate({ inFlight: 1, queuedTokens: 90_000, lastGrant: 9 });
    expect(leastInFlight([candidate({ inFlight: 2 }), few, candidate({ inFlight: 3 })], ask())).toBe(1);
  });
});

describe("balancing by queued tokens", () => {
  it("prefers the shortest queue, as long as it takes", () => {
    const slow = candidate({ queuedTokens: 1_000, rate: 100 });
    expect(leastQueuedTokens([slow, candidate({ queuedTokens: 5_000, inFlight: 9, rate: 1_000 })], ask())).toBe(1);
    expect(
      leastQueuedTokens([candidate({ queuedTokens: 2 }), candidate({ queuedTokens: 1, inFlight: 9 })], ask()),
    ).toBe(1);
  });
});

describe("balancing in turn", () => {
  it("looks at nothing but whose turn it is", () => {
    const idle = candidate({ lastGrant: 7 });
    expect(roundRobin([idle, candidate({ lastGrant: 6, inFlight: 9, queuedTokens: 9_000, rate: 1 })], ask())).toBe(1);
  });
});

describe("balancing by predicted time to the first token", () => {
  it("follows the prompt to where it is cached while the queue there is shorter than reading it anew", () => {
    const cachedTokens = [900, 0];
    expect(predictedTtft([candidate({ queuedTokens: 800 }), candidate()], ask({ cachedTokens }))).toBe(0);
    expect(predictedTtft([candidate({ queuedTokens: 1_000 }), candidate()], ask({ cachedTokens }))).toBe(1);
  });

  it("knows that some read faster", () => {
    const queue = { queuedTokens: 3_000 };
    expect(predictedTtft([candidate({ rate: 500 }), candidate({ ...queue, rate: 4_000 })], ask())).toBe(1);
    expect(predictedTtft([candidate({ rate: 500 }), candidate({ ...queue, rate: 1_000 })], ask())).toBe(0);
  });

  it("takes what is nearly as good for as good, and then the less busy", () => {
    const [one, other] = [candidate({ lastGrant: 2 }), candidate({ lastGrant: 1, rate: 990 })];
    expect(predictedTtft([one, other], ask())).toBe(1);
    expect(predictedTtft([one, { ...other, rate: 900 }], ask())).toBe(0);
    expect(predictedTtft([one, { ...other, inFlight: 1 }], ask({ tokens: 0 }))).toBe(0);
  });

  it("takes no advantage for none, however long the queues", () => {
    const long = { queuedTokens: 1_000_000 };
    expect(
      predictedTtft([candidate({ ...long, lastGrant: 1 }), candidate(long)], ask({ cachedTokens: [100, 0] })),
    ).toBe(0);
  });

  it("counts what a long prompt costs those who come after it", () => {
    const cached = candidate({ queuedTokens: 2_500, queuedPrompts: 8 });
    const other = candidate({ queuedTokens: 1_000, queuedPrompts: 8 });
    const cachedTokens = [1_000, 0];
    expect(predictedTtft([cached, other], ask({ cachedTokens }))).toBe(0);
    const idle = { queuedPrompts: 0 };
    expect(
      predictedTtft(
        [
          { ...cached, ...idle },
          { ...other, ...idle },
        ],
        ask({ cachedTokens }),
      ),
    ).toBe(1);
  });

  it("counts the answers that are under way for what they slow down", () => {
    const cachedTokens = [500, 0];
    expect(predictedTtft([candidate({ inFlight: 30 }), candidate()], ask({ cachedTokens }))).toBe(0);
    expect(predictedTtft([candidate({ inFlight: 50 }), candidate()], ask({ cachedTokens }))).toBe(1);
  });

  it("gives requests without a known prompt to the least busy", () => {
    expect(
      predictedTtft([candidate({ inFlight: 2 }), candidate({ inFlight: 1, lastGrant: 9 })], ask({ tokens: 0 })),
    ).toBe(1);
  });
});

describe("balancing by session", () => {
  it("stays where the session was, whatever the queue there", () => {
    const candidates = [candidate(), candidate({ queuedTokens: 90_000, inFlight: 90, lastGrant: 9 })];
    expect(session(candidates, ask({ sessionAt: 1 }))).toBe(1);
    const stale = candidates.map((one) => ({ ...one, isStale: true }));
    expect(session(stale, ask({ sessionAt: 1 }))).toBe(1);
  });

  it("is the default's for whoever has no session, or comes for the first time", () => {
    const candidates = [candidate({ queuedTokens: 500 }), candidate()];
    expect(session(candidates, ask())).toBe(1);
    expect(session(candidates, ask({ cachedTokens: [900, 0] }))).toBe(0);
  });
});
