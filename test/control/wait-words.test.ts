// What those are told who wait for GPUs: what for, how long, and what comes then.
import { describe, expect, it } from "vitest";
import type { Hold } from "../../src/control/planner/why.ts";
import { describeHold, holdLeftMs } from "../../src/control/wait-words.ts";

const NOW = 1_000_000;
const busy: Hold = { why: "busy", text: "all 8 MI300X (8 held by big-1) are busy" };

describe("a wait in words", () => {
  it.each<[Hold, Parameters<typeof describeHold>[2], string]>([
    [busy, { doing: "loading" }, busy.text],
    [
      { ...busy, until: NOW + 170_000 },
      { doing: "loading", ms: 58_000 },
      `${busy.text}; one gives way in about 2m 50s, then loading takes about 1m`,
    ],
    [busy, { doing: "loading", ms: 58_000 }, `${busy.text}; then loading takes about 1m`],
    [
      { why: "resident", text: "in use", until: NOW + 3_000 },
      { doing: "waking", ms: 1_500 },
      "in use; one gives way in about 3 s, then waking takes about 2 s",
    ],
    [
      { why: "backing off", text: "it failed", until: NOW + 41_000 },
      { doing: "loading" },
      "it failed; tried again in about 45 s",
    ],
    [{ ...busy, until: NOW }, { doing: "loading" }, busy.text],
  ])("%#", (hold, then, words) => {
    expect(describeHold(hold, NOW, then)).toBe(words);
  });

  it("is over when the GPUs are there and the load is done", () => {
    const load = { doing: "loading", ms: 60_000 } as const;
    expect(holdLeftMs({ ...busy, until: NOW + 30_000 }, NOW, load)).toBe(90_000);
    expect(holdLeftMs(busy, NOW, load)).toBe(60_000);
    expect(holdLeftMs({ ...busy, until: NOW - 5_000 }, NOW, load)).toBe(60_000);
    expect(holdLeftMs({ ...busy, until: NOW + 30_000 }, NOW, { doing: "loading" })).toBeUndefined();
  });
});
