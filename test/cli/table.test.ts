import { describe, expect, it } from "vitest";
import { formatAge, formatSize, formatState, formatUntil } from "../../src/cli/format.ts";
import { table } from "../../src/cli/table.ts";

describe("table", () => {
  it("lines up columns with three spaces and ends lines without any", () => {
    expect(
      table(
        ["NAME", "STATE"],
        [
          ["demo-1", "ready"],
          ["x", ""],
        ],
      ),
    ).toBe("NAME     STATE\ndemo-1   ready\nx        -");
  });

  it("counts characters as people do", () => {
    expect(
      table(
        ["A", "B"],
        [
          ["Köln👩‍🚀", "1"],
          ["x", "2"],
        ],
      ),
    ).toBe("A       B\nKöln👩‍🚀   1\nx       2");
  });

  it("keeps a row on one line whatever is in its cells", () => {
    expect(table(["A"], [["one\ntwo\r\n\tthree"]])).toBe("A\none two three");
  });

  it("fills up rows that are too short", () => {
    expect(table(["A", "B"], [["one"]])).toBe("A     B\none   -");
  });

  it("is only heads where there are no rows", () => {
    expect(table(["NAME", "STATE"], [])).toBe("NAME   STATE");
  });
});

describe("format", () => {
  const now = Date.parse("2026-01-01T00:10:00Z");

  it.each([
    [0, "0 B"],
    [512, "512 B"],
    [1536, "1.5 KiB"],
    [192 * 2 ** 30, "192 GiB"],
    [5 * 2 ** 50, "5120 TiB"],
  ])("writes %d bytes as %s", (bytes, text) => {
    expect(formatSize(bytes)).toBe(text);
  });

  it("writes ages and times to come as durations", () => {
    expect(formatAge("2026-01-01T00:05:50Z", now)).toBe("4m 10s");
    expect(formatUntil("2026-01-01T00:14:10.400Z", now)).toBe("4m 10s");
    expect(formatUntil("forever", now)).toBe("forever");
    expect(formatUntil(undefined, now)).toBe("");
    expect(formatUntil("2026-01-01T00:09:00Z", now)).toBe("now");
  });

  it("does not show a negative age when the gateway's clock is ahead", () => {
    expect(formatAge("2026-01-01T00:11:00Z", now)).toBe("0 s");
    expect(formatAge("soon", now)).toBe("");
  });

  it("adds the reason to a state that needs one, shortened", () => {
    expect(formatState("ready", "ready")).toBe("ready");
    expect(formatState("ready", "left out for 2s")).toBe("ready (left out for 2s)");
    expect(formatState("loading", "weights 62%")).toBe("loading (weights 62%)");
    expect(formatState("loading", "loading weights 62%", 40)).toBe("loading (weights 62%, about 40 s left)");
    expect([61, 59, 11, 10, 3].map((eta) => formatState("loading", "", eta))).toEqual(
      ["about 1m 10s", "about 1m", "about 15 s", "about 10 s", "about 3 s"].map((left) => `loading (${left} left)`),
    );
    expect(formatState("loading", "loading the model")).toBe("loading");
    expect(formatState("failed", "x".repeat(100))).toHaveLength("failed ()".length + 60);
  });
});
