import { describe, expect, it } from "vitest";
import { formatDuration, parseDuration, parseSize } from "../../src/lib/units.ts";

describe("durations", () => {
  it.each([
    ["30s", 30_000],
    ["5m", 300_000],
    ["1h30m", 5_400_000],
    ["1.5h", 5_400_000],
    ["250ms", 250],
    ["2d", 172_800_000],
    ["0", 0],
    ["forever", Infinity],
    ["never", Infinity],
    ["5", undefined],
    ["5 m", undefined],
    ["-5m", undefined],
    ["m5", undefined],
    ["", undefined],
  ])("%s is %s ms", (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each([
    [850, "850 ms"],
    [12_300, "12 s"],
    [59_700, "1m"],
    [250_000, "4m 10s"],
    [7_500_000, "2h 5m"],
    [Infinity, "forever"],
  ])("%s ms reads %s", (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });
});

describe("sizes", () => {
  it.each([
    ["64g", 64 * 2 ** 30],
    ["512m", 512 * 2 ** 20],
    ["1.5GiB", 1.5 * 2 ** 30],
    ["10kb", 10_240],
    ["100", 100],
    ["64 g", undefined],
    ["g", undefined],
  ])("%s is %s bytes", (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });
});
