import { describe, expect, it } from "vitest";
import { identityOfStart, type StartDecision } from "../../src/control/start-decision.ts";
import { makeProfile, makeRecipe } from "../support/make.ts";

describe("who a replica is, by the decision that starts it", () => {
  const identityOf = (demand?: Omit<NonNullable<StartDecision["demand"]>, "id">, profile = makeProfile(1)) => {
    const start = { recipe: makeRecipe(), profile, runtime: "docker", gpus: ["0000:01:00.0"] } as const;
    return identityOfStart(demand === undefined ? start : { ...start, demand: { id: "1", ...demand } }, "tiny-1");
  };

  it("has a share of its GPUs where its profile says so", () => {
    expect(identityOf(undefined, makeProfile(1, { gpuFraction: 0.4 })).gpuFraction).toBe(0.4);
    expect(identityOf()).not.toHaveProperty("gpuFraction");
  });

  it.each([
    [{ kind: "order", why: "order" }, true],
    [{ kind: "wanted", why: "replacement" }, true],
    [{ kind: "wanted", why: "preload" }, undefined],
    [{ kind: "requests", why: "requests" }, undefined],
    [undefined, undefined],
  ] as const)("started for %j, launched by an operator: %s", (demand, launched) => {
    expect(identityOf(demand).launched).toBe(launched);
  });

  it("is pinned where the launch said so", () => {
    expect(identityOf({ kind: "order", why: "order", wish: { pinned: true } }).pinned).toBe(true);
    expect(identityOf({ kind: "order", why: "order", wish: {} })).not.toHaveProperty("pinned");
  });
});
