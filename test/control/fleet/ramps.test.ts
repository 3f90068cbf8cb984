import { describe, expect, it } from "vitest";
import { Ramps } from "../../../src/control/fleet/ramps.ts";
import { Replica } from "../../../src/control/replica.ts";
import { FakeClock } from "../../support/clock.ts";
import { makeRecipe } from "../../support/make.ts";
import { IDENTITY, makeReplica } from "../../support/make-replica.ts";

function setUp() {
  const clock = new FakeClock();
  const opened: number[] = [];
  const ramps = new Ramps({ clock, onOpen: (replica) => void opened.push(replica.rampLimit) });
  return { clock, ramps, opened };
}

describe("a replica that has just become ready", () => {
  it("takes eight requests at a time, twice as many each second, and soon as many as there are", async () => {
    const { clock, ramps, opened } = setUp();
    const replica = makeReplica();
    ramps.begin(replica);
    expect(replica.rampLimit).toBe(8);
    await clock.advance(10_000);
    expect(opened).toEqual([16, 32, 64, 128, Infinity]);
    expect(clock.pending).toBe(0);
  });

  it("is not held back below what its recipe allows", async () => {
    const { clock, ramps, opened } = setUp();
    const limited = (maxInFlight: number) => {
      const blueprint = { recipe: makeRecipe({ maxInFlight }), profile: undefined };
      return new Replica(IDENTITY, blueprint, { state: "loading", reason: "", now: 0, wallNow: 0 });
    };
    const few = limited(8);
    ramps.begin(few);
    expect(few.rampLimit).toBe(Infinity);
    ramps.begin(limited(20));
    await clock.advance(10_000);
    expect(opened).toEqual([16, Infinity]);
  });

  it("leaves no timer when it goes, nor when the gateway closes", () => {
    const { clock, ramps } = setUp();
    const [gone, staying, late] = [makeReplica(), makeReplica(), makeReplica()];
    ramps.begin(gone);
    ramps.begin(staying);
    ramps.end(gone);
    expect(clock.pending).toBe(1);
    ramps.close();
    ramps.begin(late);
    expect(clock.pending).toBe(0);
    expect([gone, staying, late].map(({ rampLimit }) => rampLimit)).toEqual([Infinity, Infinity, Infinity]);
  });
});
