// How a start goes, told line by line: what is shown, how long each phase took, and when it has been silent for too long.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StartProgress, type LoadStep } from "../../../src/control/launcher/phases.ts";
import { dueOf, StartLimit, tooLate } from "../../../src/control/launcher/start-limit.ts";
import { isAimError } from "../../../src/errors.ts";
import { FakeClock } from "../../support/clock.ts";

const MINUTE = 60_000;
const TIMEOUT = 30 * MINUTE;

const shards = (percent: number, worker = "Worker_TP0"): LoadStep => ({
  phase: "weights",
  text: "loading weights",
  percent,
  worker,
});
const COMPILING: LoadStep = { phase: "compile", text: "compiling" };
const KERNEL: LoadStep = { phase: "compile", text: "compiling kernel rmsnorm" };
const GRAPHS: LoadStep = { phase: "graphs", text: "capturing graphs", percent: 10 };

function loading(): StartProgress {
  const progress = new StartProgress(0);
  progress.onStarting(0);
  progress.onRunning(0);
  return progress;
}

describe("the progress of a start", () => {
  it("is told in words, with the percentage of what is under way", () => {
    const progress = loading();
    const texts = [shards(0), shards(62), COMPILING, GRAPHS].map((step, at) => {
      progress.onStep(step, at);
      return progress.text;
    });
    expect(texts).toEqual(["loading weights 0%", "loading weights 62%", "compiling", "capturing graphs 10%"]);
  });

  it("counts the time of each phase, and stands when the start is over", () => {
    const progress = new StartProgress(0);
    progress.onPull({ doneBytes: 0, totalBytes: 10, layers: [] }, 1_000);
    progress.onPull({ doneBytes: 5, totalBytes: 10, layers: [] }, 5_000);
    progress.onStarting(6_000);
    progress.onRunning(7_000);
    progress.onStep(shards(10), 9_000);
    progress.onStep(COMPILING, 20_000);
    progress.end(25_000);
    const times = [
      ["pending", 1_000],
      ["pulling", 5_000],
      ["starting", 1_000],
      ["loading", 2_000],
      ["weights", 11_000],
      ["compile", 5_000],
    ].map(([phase, ms]) => ({ phase, ms }));
    expect(progress.times(99_000)).toEqual(times);
    expect(progress.pull?.doneBytes).toBe(5);
  });

  it("of several processes is that of the slowest", () => {
    const progress = loading();
    progress.onStep(shards(0, "Worker_TP0"), 0);
    progress.onStep(shards(0, "Worker_TP1"), 0);
    progress.onStep(shards(50, "Worker_TP0"), 1);
    expect(progress.percent).toBe(0);
    progress.onStep(shards(25, "Worker_TP1"), 2);
    expect(progress.percent).toBe(25);
  });

  it("never jumps back, in whatever order the processes speak", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 30 }))), (moves) => {
        const progress = loading();
        const percents = [0, 0, 0, 0];
        const shown = moves.map(([rank, by], at) => {
          const percent = Math.min(100, (percents[rank] ?? 0) + by);
          percents[rank] = percent;
          progress.onStep(shards(percent, `Worker_TP${rank}`), at);
          return progress.percent ?? -1;
        });
        expect(shown).toEqual(shown.toSorted((a, b) => a - b));
      }),
    );
  });

  it("begins anew with a second bar of the same kind, once", () => {
    const progress = loading();
    const shown = [
      shards(100, "a"),
      shards(100, "b"),
      shards(0, "a"),
      shards(20, "a"),
      shards(0, "b"),
      shards(40, "a"),
      shards(30, "b"),
    ].map((step, at) => {
      progress.onStep(step, at);
      return progress.percent;
    });
    expect(shown).toEqual([100, 100, 0, 20, 20, 20, 30]);
  });

  it("does not return to a phase that it has left, but for kernels, which are compiled whenever one is needed", () => {
    const progress = loading();
    const phases = [KERNEL, shards(10), GRAPHS, shards(20, "Worker_TP1"), KERNEL, { ...GRAPHS, percent: 20 }].map(
      (step, at) => {
        progress.onStep(step, at);
        return progress.phase;
      },
    );
    expect(phases).toEqual(["compile", "weights", "graphs", "graphs", "compile", "graphs"]);
  });

  it("is new with every bit of a file, though the words stay the same", () => {
    const progress = loading();
    const file = (detail: string): LoadStep => ({ phase: "weights", text: "downloading weights", detail });
    expect(["1 GB", "1 GB", "2 GB"].map((detail, at) => progress.onStep(file(detail), at))).toEqual([
      true,
      false,
      true,
    ]);
  });

  it("tells how long a bar will take, once it has moved enough", () => {
    const progress = loading();
    progress.onStep(shards(0), 0);
    progress.onStep(shards(4), 4_000);
    expect(progress.barLeftMs(4_000)).toBeUndefined();
    progress.onStep(shards(50), 50_000);
    expect(progress.barLeftMs(50_000)).toBe(50_000);
    expect(progress.barLeftMs(60_000)).toBe(40_000);
    expect(progress.barLeftMs(500_000)).toBe(0);
  });
});

describe("the limit of a start", () => {
  const due = (progress: StartProgress, timeoutMs = TIMEOUT) => dueOf(progress, timeoutMs);

  it.each<readonly [string, LoadStep | undefined, number]>([
    ["before the first line", undefined, 10],
    ["while loading weights", shards(5), 10],
    ["while compiling", COMPILING, 20],
    ["while capturing graphs", GRAPHS, 10],
    ["while warming up", { phase: "warm-up", text: "graphs captured" }, 10],
  ])("is one of silence %s", (_, step, minutes) => {
    const progress = loading();
    if (step !== undefined) progress.onStep(step, 5);
    const at = (step === undefined ? 0 : 5) + minutes * MINUTE;
    expect(due(progress)).toEqual({ at, kind: "silence", limitMs: minutes * MINUTE });
  });

  it("is moved on by whatever is new, up to three times the whole", () => {
    const progress = loading();
    let now = 0;
    for (let percent = 0; due(progress).kind === "silence"; percent++) {
      now += 9 * MINUTE;
      progress.onStep(shards(percent), now);
    }
    expect(due(progress)).toEqual({ at: 3 * TIMEOUT, kind: "total", limitMs: 3 * TIMEOUT });
    expect(now).toBeGreaterThan(2 * TIMEOUT);
  });

  it("is not moved by lines that repeat what is known", () => {
    const progress = loading();
    for (let minute = 0; minute < 9; minute++) {
      progress.onStep(shards(50), minute * MINUTE);
      progress.onLine(minute * MINUTE);
    }
    expect(due(progress).at).toBe(10 * MINUTE);
  });

  it("of an engine that says nothing we know is moved by any line, but not beyond the whole", () => {
    const progress = loading();
    for (let minute = 0; minute < 29; minute++) progress.onLine(minute * MINUTE);
    expect(due(progress)).toEqual({ at: TIMEOUT, kind: "total", limitMs: TIMEOUT });
  });

  it("of silence is never longer than the whole", () => {
    expect(due(loading(), 2 * MINUTE).at).toBe(2 * MINUTE);
  });

  it("does not run while the image is pulled, and begins anew with the container", () => {
    const progress = new StartProgress(0);
    progress.onPull({ doneBytes: 0, totalBytes: undefined, layers: [] }, 0);
    expect(due(progress).at).toBe(Infinity);
    progress.onStarting(90 * MINUTE);
    expect(due(progress).at).toBe(100 * MINUTE);
    progress.onRunning(95 * MINUTE);
    expect(due(progress).at).toBe(105 * MINUTE);
  });

  it("of silence does not hold while the log cannot be read", () => {
    const progress = loading();
    progress.lookAway();
    expect(due(progress)).toMatchObject({ at: TIMEOUT, kind: "total" });
    progress.lookAgain(15 * MINUTE);
    expect(due(progress).at).toBe(25 * MINUTE);
  });

  it("says what it was doing, and how long in silence", () => {
    const progress = loading();
    progress.onStep(COMPILING, 0);
    const error = tooLate("qwen", progress, due(progress));
    expect(error.message).toBe("qwen was not ready: no progress for 20m while compiling (last seen: compiling)");
    expect(isAimError(error, "model_start_timeout")).toBe(true);
  });

  it("aborts in time, or with its parent, and leaves no timer behind", async () => {
    const clock = new FakeClock();
    const make = (parent: AbortSignal) =>
      new StartLimit(clock, { model: "m", progress: new StartProgress(clock.now()), timeoutMs: MINUTE }, parent);
    const [late, stopped, done] = [new AbortController(), new AbortController(), new AbortController()];
    const limits = [make(late.signal), make(stopped.signal), make(done.signal)] as const;
    stopped.abort(new Error("stopped"));
    limits[2].done();
    await clock.advance(MINUTE);
    expect(isAimError(limits[0].signal.reason, "model_start_timeout")).toBe(true);
    expect(limits[1].signal.reason).toEqual(new Error("stopped"));
    expect(limits[2].signal.aborted).toBe(false);
    for (const limit of limits) limit.done();
    expect(clock.pending).toBe(0);
    expect(make(stopped.signal).signal.aborted).toBe(true);
  });
});
