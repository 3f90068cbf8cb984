// The benchmark of cold starts, with one start of each kind: what it measures adds up, and our part of it is small. The bounds
// are many times what is promised, so that only a regression breaks them, not a busy machine.
import { describe, expect, it } from "vitest";
import { measureColdStart } from "../../bench/cold/cold-start.ts";
import { BARS, ours, PHASES, span, type Stamps } from "../../bench/cold/phases.ts";
import { openSite, type Setup } from "../../bench/cold/site.ts";
import { summarise, tableOf } from "../../bench/cold/summary.ts";
import { describeWithDocker } from "../support/docker.ts";

const GENEROUS_MS = 1_000;

/** The second start of a gateway: the first one compiles its code. */
async function start(setup: Setup): Promise<Stamps> {
  await using site = await openSite(setup, { seconds: 0.5, models: 1 });
  await measureColdStart(site, "cold-0");
  // Awaited here, while there is still a site.
  return await measureColdStart(site, "cold-0");
}

function expectSmall(stamps: Stamps): void {
  const late = BARS.filter((bar) => span(stamps, bar) >= GENEROUS_MS).map(({ name }) => name);
  expect(late, JSON.stringify(stamps)).toEqual([]);
  expect(ours(stamps)).toBeLessThan(2 * GENEROUS_MS);
  const backwards = PHASES.filter((phase) => span(stamps, phase) < 0).map(({ name }) => name);
  expect(backwards, JSON.stringify(stamps)).toEqual([]);
  expect(PHASES.reduce((sum, phase) => sum + span(stamps, phase), 0)).toBe(stamps.firstByte - stamps.asked);
}

describe("a cold start of a local process", () => {
  it("takes little more than its engine's load", { timeout: 60_000 }, async () => {
    expectSmall(await start("process"));
  });
});

describeWithDocker("a cold start in a container", () => {
  it("with GPUs takes little more than Docker's calls and the engine's load", { timeout: 90_000 }, async () => {
    const stamps = await start("docker-gpus");
    expectSmall(stamps);
    expect(stamps.started - stamps.start).toBeGreaterThan(0);
  });
});

describe("the summary of cold starts", () => {
  const stamps = (ready: number): Stamps => ({
    asked: 0,
    decided: 1,
    create: 3,
    created: 10,
    start: 15,
    started: 100,
    answers: 1_000,
    ready,
    firstByte: ready + 5,
  });
  const summary = summarise(
    "docker",
    [1_010, 1_020, 1_030, 1_400].map((ready) => stamps(ready)),
  );

  it("has the median and the 95th percentile of each phase, and of what is ours", () => {
    expect(summary.phases.find(({ name }) => name === "answers /health to seen ready")).toMatchObject({
      whose: "ours",
      p50: 20,
      p95: 400,
    });
    expect(summary.sums.find(({ name }) => name === "request to start call")).toMatchObject({ p50: 15, p95: 15 });
    expect(summary.sums.find(({ name }) => name === "all that is ours")).toMatchObject({ p50: 1 + 2 + 5 + 20 + 5 });
  });

  it("is a line per phase, beside what was promised", () => {
    const lines = tableOf([summary]).split("\n");
    expect(lines).toHaveLength(1 + PHASES.length + BARS.length + 2);
    expect(lines.find((line) => line.includes("answers /health to first byte"))).toMatch(/ 25 +405 +< 150$/);
  });
});
