import { describe, expect, it } from "vitest";
import { pick } from "../../../src/control/fleet/balance.ts";

describe("balancing", () => {
  const candidate = (inFlight: number, lastGrant: number, hasRoom = true, isStale = false) => {
    return { inFlight, lastGrant, hasRoom, isStale };
  };

  it("prefers the least busy, then the one whose last request is longest ago", () => {
    expect(pick([candidate(2, 0), candidate(1, 9), candidate(3, 0)])).toEqual(candidate(1, 9));
    expect(pick([candidate(0, 5), candidate(0, 4)])).toEqual(candidate(0, 4));
  });

  it("gives a stale one only what no other has room for", () => {
    const stale = candidate(0, 0, true, true);
    expect(pick([stale, candidate(9, 9)])).toEqual(candidate(9, 9));
    expect(pick([candidate(9, 9), stale])).toEqual(candidate(9, 9));
    expect(pick([stale, candidate(9, 9, false)])).toEqual(stale);
    expect(pick([candidate(1, 0, true, true), stale])).toEqual(stale);
  });

  it("never picks one without room", () => {
    expect(pick([candidate(0, 0, false), candidate(9, 9)])).toEqual(candidate(9, 9));
    expect(pick([candidate(0, 0, false)])).toBeUndefined();
    expect(pick([])).toBeUndefined();
  });
});
