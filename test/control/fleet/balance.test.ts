import { describe, expect, it } from "vitest";
import { pick } from "../../../src/control/fleet/balance.ts";

describe("balancing", () => {
  const candidate = (inFlight: number, lastGrant: number, hasRoom = true) => ({ inFlight, lastGrant, hasRoom });

  it("prefers the least busy, then the one whose last request is longest ago", () => {
    expect(pick([candidate(2, 0), candidate(1, 9), candidate(3, 0)])).toEqual(candidate(1, 9));
    expect(pick([candidate(0, 5), candidate(0, 4)])).toEqual(candidate(0, 4));
  });

  it("never picks one without room", () => {
    expect(pick([candidate(0, 0, false), candidate(9, 9)])).toEqual(candidate(9, 9));
    expect(pick([candidate(0, 0, false)])).toBeUndefined();
    expect(pick([])).toBeUndefined();
  });
});
