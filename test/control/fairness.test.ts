// One client's flood is its own trouble: what others wait for stays what it was.
import { describe, expect, it } from "vitest";
import { isAimError } from "../../src/errors.ts";
import { Rig } from "../support/make-plane.ts";
import { makeRecipe } from "../support/make.ts";
import type { TestRequest } from "../support/test-request.ts";

const LOAD_MS = 60_000;
const SERVE_MS = 1_000;
const FLOOD = 1_000;

interface Scene {
  readonly rig: Rig;
  /** How long each of B's requests waited, the longest last. */
  readonly waits: readonly number[];
  readonly flood: readonly TestRequest[];
  readonly refused: readonly TestRequest[];
}

/** A cold start of a minute, during which A may send a thousand requests at once; B sends one a second, a hundred in all. */
async function scene(options: { readonly flood: number; readonly maxPerModel?: number }): Promise<Scene> {
  const limits = { maxPerModel: options.maxPerModel ?? 10_000, maxTotal: 10_000, maxBytes: 2 ** 30 };
  const recipe = makeRecipe({ maxInFlight: 8 });
  const rig = new Rig({ recipes: [recipe], settings: { waiters: limits } });
  rig.world.pace.loadMs = LOAD_MS;
  const flood = rig.requests("tiny", options.flood, { serveMs: SERVE_MS, traits: { client: "a" } });
  const waits: number[] = [];
  const sent: TestRequest[] = [];
  for (let one = 0; one < 100; one++) {
    const onEnd = ({ since }: TestRequest) => void waits.push(rig.clock.now() - since - SERVE_MS);
    sent.push(rig.request("tiny", { serveMs: SERVE_MS, traits: { client: "b" }, onEnd }));
    await rig.clock.advance(1_000);
  }
  await rig.clock.advance(LOAD_MS + (options.flood * SERVE_MS) / 8);
  const refused = sent.filter(({ outcome }) => outcome !== "served");
  return { rig, waits: waits.toSorted((a, b) => a - b), flood, refused };
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.ceil(sorted.length * share) - 1] ?? NaN;
}

describe("a client that floods a model that is cold", () => {
  it("does not make another client wait more than half as long again", async () => {
    const [alone, flooded] = [await scene({ flood: 0 }), await scene({ flood: FLOOD })];
    expect(percentile(alone.waits, 0.95)).toBeGreaterThan(LOAD_MS / 2);
    expect(percentile(flooded.waits, 0.95)).toBeLessThanOrEqual(1.5 * percentile(alone.waits, 0.95));
    expect(flooded.waits).toHaveLength(100);
    expect(flooded.refused).toEqual([]);
    expect(flooded.flood.filter(({ outcome }) => outcome === "served")).toHaveLength(FLOOD);
  });

  it("does not lock another client out by filling the queue", async () => {
    const { flood, refused } = await scene({ flood: FLOOD, maxPerModel: FLOOD });
    expect(refused).toEqual([]);
    const turnedAway = flood.filter(({ outcome }) => outcome === "refused");
    expect(turnedAway.length).toBeGreaterThan(0);
    expect(turnedAway.every(({ error }) => isAimError(error, "queue_full"))).toBe(true);
    expect(flood.filter(({ outcome }) => outcome === "served")).toHaveLength(FLOOD - turnedAway.length);
  });
});
