// Two models and one GPU: clients that ask again when they have their answer cannot ask while they wait.
import { describe, expect, it } from "vitest";
import { Rig } from "../support/make-plane.ts";
import { makeGpus, makeRecipe } from "../support/make.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

/** How many answers each of the models gave in two hours, to two clients of its own. */
async function share(loadMs: number): Promise<{ readonly served: readonly number[]; readonly starts: number }> {
  const scheduling = {
    minResidencyMs: 7.5 * MINUTE,
    maxWaitMs: 9 * MINUTE,
    maxStarts: 8,
    abortsUnwanted: true,
    sleepMemoryBytes: 0,
  };
  const recipes = ["a", "b"].map((id) => makeRecipe({ id, gpus: 1 }));
  const rig = new Rig({ recipes, gpus: makeGpus(1), settings: { scheduling, keepAliveMs: 5 * MINUTE } });
  rig.world.pace.loadMs = loadMs;
  const served = new Map([
    ["a", 0],
    ["b", 0],
  ]);
  const ask = (model: string, thinkMs: number) => {
    const onEnd = () => {
      served.set(model, (served.get(model) ?? 0) + 1);
      rig.clock.setTimer(thinkMs, () => ask(model, thinkMs));
    };
    rig.request(model, { serveMs: 3 * SECOND, onEnd });
  };
  for (const thinkMs of [500, 800]) {
    ask("a", thinkMs);
    await rig.clock.advance(100);
    ask("b", thinkMs);
  }
  await rig.clock.advance(120 * MINUTE);
  return { served: [...served.values()], starts: rig.world.starts.length };
}

describe("two models that take turns on a GPU", () => {
  it.each([30 * SECOND, 60 * SECOND, 120 * SECOND])(
    "are served about as much, whoever was first, with loads of %d ms",
    async (loadMs) => {
      const { served, starts } = await share(loadMs);
      expect(Math.min(...served) / Math.max(...served)).toBeGreaterThan(0.6);
      // Each stays for its residency, eight loads at most.
      expect(starts).toBeLessThan((120 * MINUTE) / (loadMs + Math.min(7.5 * MINUTE, 8 * loadMs)) + 3);
    },
  );
});
