// The planner alone, in moments and worlds at random. What fails is printed as small as it can be made, with the seed and the path
// to have it again.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { plan } from "../../src/control/planner.ts";
import { NOW } from "../support/make-snapshot.ts";
import { breaches } from "./planner-model/laws.ts";
import { roomBreaches } from "./planner-model/room-laws.ts";
import { scenes } from "./planner-model/scenes.ts";
import { World, type WorldPlan } from "./planner-model/world.ts";
import { incidents, worlds } from "./planner-model/worlds.ts";

const MOMENTS = 3_000;
const WORLDS = 600;
const CROWDS = 30;
/** Seconds of pure computing, which is what a busy machine is short of; and what fails takes more, to be made small. */
const TIMEOUT = 120_000;

describe("in any moment, a plan", { timeout: TIMEOUT }, () => {
  it("keeps every law", () => {
    fc.assert(
      fc.property(scenes({ mostDemands: 6 }), (snapshot) => {
        const made = plan(snapshot, NOW);
        expect(breaches(snapshot, made, NOW)).toEqual([]);
        expect(plan(snapshot, NOW)).toEqual(made);
      }),
      { numRuns: MOMENTS },
    );
  });

  it("sends nobody away for one demand who could have stayed, and makes it wait or refuses it for no want of them", () => {
    fc.assert(
      fc.property(scenes({ mostDemands: 1 }), (snapshot) => {
        const alone = { ...snapshot, scale: new Map<string, never>() };
        const scene = { snapshot: alone, plan: plan(alone, NOW), now: NOW };
        expect(snapshot.demands.flatMap((demand) => roomBreaches(demand, scene))).toEqual([]);
      }),
      { numRuns: MOMENTS },
    );
  });
});

describe("in any world", { timeout: TIMEOUT }, () => {
  it("plans come to rest at every instant, and everybody who waits is served or refused in bounded time", () => {
    fc.assert(
      fc.property(worlds, incidents, (worldPlan, story) => {
        const world = new World(worldPlan);
        for (const incident of story) incident.happen(world);
        world.pass(bound(worldPlan));
        expect(world.longestWaitMs).toBeLessThanOrEqual(bound(worldPlan));
      }),
      { numRuns: WORLDS },
    );
  });

  it("nobody starves where all ask for ever, be his model large or small", () => {
    fc.assert(
      fc.property(worlds, (worldPlan) => {
        const habits = new Map([...worldPlan.habits].map(([model, one]) => [model, { ...one, isHot: true }]));
        const world = new World({ ...worldPlan, habits });
        for (const model of habits.keys()) world.ask(model, 1);
        world.pass(2 * bound(worldPlan));
        expect(world.longestWaitMs).toBeLessThanOrEqual(bound(worldPlan));
      }),
      { numRuns: CROWDS },
    );
  });
});

/** Each of the others may come first, once: for him the holder has to give way, finish, and he has to load and to be of use. */
function bound({ habits, policy }: WorldPlan): number {
  const all = [...habits.values()];
  const longest = (of: (one: (typeof all)[number]) => number) => Math.max(...all.map(of));
  const turn = policy.maxWaitMs + 2 * longest(({ loadMs }) => loadMs) + longest(({ serveMs }) => serveMs) + 10_000;
  return all.length * turn;
}
