// Replicas whose requests fail, as the data plane meets them.
import { describe, expect, it } from "vitest";
import { Rig } from "../support/make-plane.ts";
import { makeRecipe } from "../support/make.ts";

const never = new AbortController().signal;
const BROKEN = { kind: "broken", error: new Error("gone") } as const;

async function setUp(replicas: number, maxInFlight?: number) {
  const recipe = makeRecipe({ replicas: { min: replicas, max: replicas }, ...(maxInFlight && { maxInFlight }) });
  const rig = new Rig({ recipes: [recipe] });
  await rig.clock.advance(10_000);
  const lease = () => rig.plane.pool.acquire("tiny", { bodyBytes: 0 }, never);
  const serve = async () => {
    const one = await lease();
    one.report({ kind: "completed" });
    one.release();
    return one.replica;
  };
  const fail = async () => {
    const one = await lease();
    one.report(BROKEN);
    one.release();
    return one.replica;
  };
  return { rig, lease, serve, fail };
}

describe("a replica that breaks off an answer", () => {
  it("leaves its requests to the others for a second, and is told of", async () => {
    const { rig, serve, fail } = await setUp(2);
    const bad = await fail();
    const others = [await serve(), await serve(), await serve()];
    expect(others).not.toContain(bad);
    expect(rig.plane.status.replicas().find(({ name }) => name === bad)?.reason).toBe(
      "left out for 1 s: it broke off an answer",
    );
    expect(rig.events.since(0).map(({ type }) => type)).toContain("replica:ejected");
    await rig.clock.advance(1_000);
    expect([await serve(), await serve()]).toContain(bad);
    expect(rig.events.since(0).at(-1)?.type).toBe("replica:trusted");
  });

  it("serves all the same where it is alone", async () => {
    const { serve, fail } = await setUp(1);
    const only = await fail();
    expect([await serve(), await serve()]).toEqual([only, only]);
  });

  it("takes its turn again for one who waits because the others are full", async () => {
    const { rig, lease, fail } = await setUp(2, 1);
    const bad = await fail();
    const busy = await lease();
    const waiting = lease();
    await rig.clock.advance(1_000);
    expect((await waiting).replica).toBe(bad);
    busy.release();
    (await waiting).release();
  });

  it("is not held responsible for a client that left", async () => {
    const { rig, lease } = await setUp(2);
    const one = await lease();
    one.report({ kind: "client_gone" });
    one.release();
    expect(rig.plane.status.replicas().map(({ reason }) => reason)).toEqual(["ready", "ready"]);
  });
});
