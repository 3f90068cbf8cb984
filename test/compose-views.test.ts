import { describe, expect, it } from "vitest";
import { Catalog } from "../src/catalog/catalog.ts";
import { modelResolver } from "../src/compose-views.ts";
import { makeRecipe } from "./support/make.ts";

const DEFAULTS = { connectTimeoutMs: 1, firstByteTimeoutMs: 2, idleTimeoutMs: 3, totalTimeoutMs: 4 };

describe("modelResolver", () => {
  it("knows models by all their names, and the limits of their requests where they have their own", () => {
    const recipes = [
      makeRecipe({ id: "a", model: "acme/a", aliases: ["a"], timeouts: { idleTimeoutMs: 30 } }),
      makeRecipe({ id: "b", model: "acme/b", aliases: [] }),
    ];
    const resolve = modelResolver(new Catalog(recipes), DEFAULTS);
    expect(resolve("a")).toEqual({ model: "acme/a", timeouts: { ...DEFAULTS, idleTimeoutMs: 30 } });
    expect(resolve("a")).toBe(resolve("acme/a"));
    expect(resolve("acme/b")).toEqual({ model: "acme/b" });
    expect(resolve("")).toBeUndefined();
  });
});
