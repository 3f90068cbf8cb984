import { describe, expect, it } from "vitest";
import { readStats } from "../../../src/runtime/docker/stats.ts";

const cpu_stats = { cpu_usage: { total_usage: 2_500_000_000 } };

describe("readStats", () => {
  it.each([
    ["cgroup v1", { total_inactive_file: 30 }],
    ["cgroup v2", { inactive_file: 30 }],
  ])("leaves out the page cache of %s", (_, stats) => {
    const answer = { memory_stats: { usage: 100, stats }, cpu_stats };
    expect(readStats(answer)).toEqual({ memoryBytes: 70, cpuSeconds: 2.5 });
  });

  it.each([
    [500, 1000, { memoryLimitBytes: 500 }],
    [1000, 1000, {}],
    [9_223_372_036_854_771_712, 1000, {}],
    [500, undefined, { memoryLimitBytes: 500 }],
    [0, 1000, {}],
    [undefined, 1000, {}],
  ])("takes a limit of %s on a machine of %s as %j", (limit, machine, expected) => {
    const answer = { memory_stats: { usage: 100, limit }, cpu_stats };
    expect(readStats(answer, machine)).toEqual({ memoryBytes: 100, cpuSeconds: 2.5, ...expected });
  });

  it("reads a container that does not run", () => {
    expect(readStats({ memory_stats: {}, cpu_stats })).toEqual({ memoryBytes: 0, cpuSeconds: 2.5 });
  });

  it.each([undefined, {}, Buffer.from("<html>")])("refuses what is no answer", (wrong) => {
    expect(readStats(wrong)).toBeUndefined();
  });
});
