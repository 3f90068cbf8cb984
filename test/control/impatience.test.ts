// Clients that do not wait for long, and ask again: together they are as patient as one that stays.
import { describe, expect, it } from "vitest";
import { Rig } from "../support/make-plane.ts";
import { makeGpus, makeRecipe } from "../support/make.ts";
import type { TestRequest } from "../support/test-request.ts";

const SECOND = 1_000;
const MAX_WAIT = 90 * SECOND;

/** One GPU, and model `a` on it, which two clients keep busy all the time. */
async function occupied(): Promise<Rig> {
  const rig = new Rig({ recipes: ["a", "b"].map((id) => makeRecipe({ id, gpus: 1 })), gpus: makeGpus(1) });
  const ask = () => void rig.request("a", { serveMs: 5 * SECOND, onEnd: () => queueMicrotask(ask) });
  ask();
  await rig.clock.advance(2 * SECOND);
  ask();
  await rig.clock.advance(60 * SECOND);
  return rig;
}

/** One that gives up after so long, and leaves for so long. */
async function attempt(rig: Rig, waitMs: number, pauseMs: number): Promise<TestRequest> {
  const giveUp = new AbortController();
  const request = rig.request("b", { signal: giveUp.signal });
  await rig.clock.advance(waitMs);
  giveUp.abort(new Error("the client has lost its patience"));
  await rig.clock.advance(pauseMs);
  return request;
}

describe("a model whose clients give up before a busy one has to make room for it", () => {
  it("gets its GPUs when it was waited for long enough all told", async () => {
    const rig = await occupied();
    const outcomes: string[] = [];
    for (let time = 0; time < 3; time++) outcomes.push((await attempt(rig, 40 * SECOND, 5 * SECOND)).outcome);
    expect(outcomes).toEqual(["refused", "refused", "served"]);
    expect(rig.world.violations).toEqual([]);
  });

  it("gets them in its turn, as promised to those who are told when to come back", async () => {
    const rig = await occupied();
    await attempt(rig, 40 * SECOND, 5 * SECOND);
    rig.request("b");
    await rig.clock.advance(0);
    expect(rig.plane.fleet.demand.holdOf("b")?.until).toBe(rig.clock.now() + MAX_WAIT - 40 * SECOND);
  });

  it("does not get them because somebody looks in now and then", async () => {
    const rig = await occupied();
    for (let time = 0; time < 10; time++) await attempt(rig, 2 * SECOND, 30 * SECOND);
    expect(rig.states()).toEqual(["a-1 ready"]);
  });

  it("begins anew when it was told that it will not be started", async () => {
    const rig = await occupied();
    await attempt(rig, 40 * SECOND, 5 * SECOND);
    const refused = rig.request("b");
    rig.plane.operator.pin("a", true);
    await rig.clock.advance(SECOND);
    expect(refused.outcome).toBe("refused");
    rig.plane.operator.pin("a", false);
    rig.request("b");
    expect(rig.plane.fleet.snapshot().demands).toMatchObject([{ since: rig.clock.now() }]);
  });
});
