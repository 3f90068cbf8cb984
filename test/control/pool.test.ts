// What is told to those who wait or ask again: true within a quarter after three starts.
import { describe, expect, it } from "vitest";
import { Rig } from "../support/make-plane.ts";
import { makeGpus, makeRecipe } from "../support/make.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

/** Every start takes so long in turn. */
async function learn(rig: Rig, model: string, loads: readonly number[]) {
  for (const loadMs of loads) {
    rig.world.pace.loadMs = loadMs;
    rig.request(model);
    await rig.clock.advance(loadMs + 2 * SECOND);
    await unload(rig, model);
  }
}

async function unload(rig: Rig, model: string) {
  for (const replica of rig.plane.fleet.replicas.ofModel(model)) rig.plane.fleet.stop(replica, "stopped", "");
  await rig.clock.advance(2 * SECOND);
  expect(rig.plane.fleet.replicas.ofModel(model)).toEqual([]);
}

/** Time until the request has its replica, in steps of a tenth of a second. */
async function untilServed(rig: Rig, request: { readonly outcome: string }): Promise<number> {
  const began = rig.clock.now();
  while (request.outcome === "waiting" && rig.clock.now() - began < 30 * MINUTE) await rig.clock.advance(100);
  expect(["serving", "served"]).toContain(request.outcome);
  return rig.clock.now() - began;
}

const within = (told: number, truth: number) => Math.abs(told - truth) / truth;

describe("Retry-After", () => {
  it.each([0, 10, 60])("of a load is right within a quarter after three starts, %d s into it", async (seconds) => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    await rig.clock.advance(SECOND);
    await learn(rig, "tiny", [110 * SECOND, 120 * SECOND, 135 * SECOND]);
    rig.world.pace.loadMs = 125 * SECOND;
    const request = rig.request("tiny");
    await rig.clock.advance(seconds * SECOND + 200);
    const told = rig.plane.pool.retryAfterMs("tiny");
    expect(within(told, await untilServed(rig, request))).toBeLessThan(0.25);
  });

  it("of a model that does not run and nobody waits for is its usual load", async () => {
    const rig = new Rig({ recipes: [makeRecipe()] });
    await rig.clock.advance(SECOND);
    expect(rig.plane.pool.retryAfterMs("tiny")).toBe(30 * SECOND);
    await learn(rig, "tiny", [50 * SECOND]);
    expect(within(rig.plane.pool.retryAfterMs("tiny"), 50 * SECOND)).toBeLessThan(0.05);
  });

  it("of a model that waits for GPUs in use is the wait and its load", async () => {
    const rig = new Rig({
      recipes: [makeRecipe({ id: "big", gpus: 8 }), makeRecipe({ id: "small", gpus: 8 })],
      gpus: makeGpus(8),
    });
    await rig.clock.advance(SECOND);
    await learn(rig, "small", [60 * SECOND, 60 * SECOND, 60 * SECOND]);
    await learn(rig, "big", [60 * SECOND]);
    // It serves one answer after the other, without a pause.
    const busy = async () => {
      for (let round = 0; round < 40; round++) {
        const request = rig.request("big", { serveMs: 10 * SECOND });
        await new Promise<void>((resolve) => rig.clock.setTimer(9 * SECOND, resolve));
        if (request.outcome === "refused") return;
      }
    };
    void busy();
    await rig.clock.advance(70 * SECOND);
    const request = rig.request("small");
    for (const seconds of [1, 30]) {
      await rig.clock.advance(seconds * SECOND);
      const told = rig.plane.pool.retryAfterMs("small");
      const words = rig.plane.pool.describeWait("small");
      expect(words).toMatch(
        /^all 8 MI300X \(8 held by big-1\) are .*; one gives way in about .*, then loading takes about 1m$/,
      );
      if (seconds === 30) expect(within(told, await untilServed(rig, request))).toBeLessThan(0.25);
    }
  });

  it("of a model whose replicas are busy is a plain guess, and a moment where there is room", async () => {
    const rig = new Rig({ recipes: [makeRecipe({ maxInFlight: 1 })] });
    rig.request("tiny", { serveMs: 10 * MINUTE });
    await rig.clock.advance(5 * SECOND);
    expect(rig.plane.pool.retryAfterMs("tiny")).toBe(30 * SECOND);
    await rig.clock.advance(10 * MINUTE);
    expect(rig.plane.pool.retryAfterMs("tiny")).toBe(SECOND);
  });
});
