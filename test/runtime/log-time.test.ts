import { describe, expect, it } from "vitest";
import { isAfter, nanosOf, sinceNanos } from "../../src/runtime/log-time.ts";

describe("times of log lines", () => {
  it.each([
    ["1970-01-01T00:00:01Z", 1_000_000_000n],
    ["1970-01-01T00:00:00.000000001Z", 1n],
    ["1970-01-01T00:00:00.5Z", 500_000_000n],
    ["1970-01-01T02:00:00.25+02:00", 250_000_000n],
    ["2026-11-23T13:33:16.123456789Z", 1_795_440_796_123_456_789n],
  ])("%s is %i ns after the epoch", (time, nanos) => {
    expect(nanosOf(time)).toBe(nanos);
  });

  it.each(["", "yesterday", "2026-11-23", "2026-11-23T13:33:16", "2026-13-45T99:00:00Z"])("%j is none", (time) => {
    expect(nanosOf(time)).toBeUndefined();
    expect(() => sinceNanos(time)).toThrow("is no time; write it as");
  });

  it("tell what was written after another, to the nanosecond", () => {
    const since = sinceNanos("2026-01-01T00:00:00.000000001Z");
    expect(isAfter({ time: "2026-01-01T00:00:00.000000001Z" }, since)).toBe(false);
    expect(isAfter({ time: "2026-01-01T00:00:00.000000002Z" }, since)).toBe(true);
    expect(isAfter({}, since)).toBe(true);
    expect(isAfter({ time: "1970-01-01T00:00:00Z" }, undefined)).toBe(true);
  });
});
