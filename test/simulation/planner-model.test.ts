// The planner alone, in moments and worlds at random. What fails is printed as small as it can be made, with the seed and the path
// to have it again.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { plan } from "../../src/control/planner.ts";
import { NOW } from "../support/make-snapshot.ts";
import { breaches } from "./planner-model/laws.ts";
import { roomBreaches } from "./planner-model/room-laws.ts";
import { scenes } from "./planner-model/scenes.ts";

describe("in any moment, a plan", () => {
  it("keeps every law", () => {
    fc.assert(
      fc.property(scenes({ mostDemands: 6 }), (snapshot) => {
        const made = plan(snapshot, NOW);
        expect(breaches(snapshot, made, NOW)).toEqual([]);
        expect(plan(snapshot, NOW)).toEqual(made);
      }),
      { numRuns: Number(process.env["RUNS"] ?? 3000) },
    );
  });

  it("sends nobody away for one demand who could have stayed, and makes it wait or refuses it for no want of them", () => {
    fc.assert(
      fc.property(scenes({ mostDemands: 1 }), (snapshot) => {
        const alone = { ...snapshot, scale: new Map<string, never>() };
        const scene = { snapshot: alone, plan: plan(alone, NOW), now: NOW };
        expect(snapshot.demands.flatMap((demand) => roomBreaches(demand, scene))).toEqual([]);
      }),
      { numRuns: Number(process.env["RUNS"] ?? 3000) },
    );
  });
});
