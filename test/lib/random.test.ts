import { describe, expect, it } from "vitest";
import { systemRandom } from "../../src/lib/random.ts";

describe("the system's randomness", () => {
  it("gives identifiers of 16 hex digits, and none twice, also where it has to draw anew", () => {
    const ids = Array.from({ length: 2_000 }, () => systemRandom.id());
    expect(ids.filter((id) => !/^[0-9a-f]{16}$/.test(id))).toEqual([]);
    expect(new Set(ids).size).toBe(ids.length);
  });
});
