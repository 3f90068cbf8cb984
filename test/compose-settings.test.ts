import { describe, expect, it } from "vitest";
import { apiKeys } from "../src/compose-settings.ts";

describe("apiKeys", () => {
  it("lets a plain text do everything, and calls keys without a name by their place", () => {
    const own = { key: "second-secret", weight: 3, priority: "low", mayStart: false } as const;
    expect(apiKeys({ apiKeys: ["first-secret", own, { ...own, key: "third-secret", name: "ci" }] })).toEqual([
      { key: "first-secret", name: "key-1", weight: 1, priority: "normal", mayStart: true },
      { ...own, name: "key-2" },
      { ...own, key: "third-secret", name: "ci" },
    ]);
  });
});
