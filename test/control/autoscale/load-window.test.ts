import { describe, expect, it } from "vitest";
import { LoadWindow } from "../../../src/control/autoscale/load-window.ts";

/** Samples a second apart, the last one at `now`. */
function windowOf(loads: readonly number[], now = loads.length * 1_000): LoadWindow {
  const window = new LoadWindow(10_000, 1_000);
  for (const [index, load] of loads.entries()) window.add(now - (loads.length - 1 - index) * 1_000, 1_000, load);
  return window;
}

describe("a window over the load", () => {
  it("averages by time", () => {
    const window = new LoadWindow(10_000, 1_000);
    window.add(2_000, 2_000, 10);
    window.add(10_000, 8_000, 5);
    expect(window.average(10_000)).toBe(6);
  });

  it("counts as nothing to do what it has not seen", () => {
    expect(windowOf([10, 10, 10, 10, 10]).average(5_000)).toBe(5);
    expect(windowOf([]).average(5_000)).toBe(0);
  });

  it("knows the most of the whole window, and forgets what is older", () => {
    const window = windowOf([7, ...Array.from({ length: 9 }, () => 1)]);
    expect(window.peak(10_000)).toBe(7);
    expect(window.peak(13_000)).toBe(1);
    expect(window.peak(60_000)).toBe(0);
    expect(window.average(60_000)).toBe(0);
  });

  it("forgets nothing too early, however samples and buckets lie", () => {
    for (const offset of [0, 1, 500, 999]) {
      const window = new LoadWindow(10_000, 1_000);
      window.add(5_000 + offset, 1_000, 3);
      expect(window.peak(15_000 + offset)).toBe(3);
    }
  });

  it("takes the place of what is older than the window", () => {
    const window = new LoadWindow(10_000, 1_000);
    for (let now = 1_000; now <= 100_000; now += 1_000) window.add(now, 1_000, now / 1_000);
    expect(window.peak(100_000)).toBe(100);
    expect(window.average(100_000)).toBeCloseTo(95, 0);
  });
});
