// What became of a replica: whether it counts, what those who waited are told, and what operators can do.
import { describe, expect, it } from "vitest";
import { failureOf, type Evidence } from "../../../src/control/launcher/failure-words.ts";
import { AimError } from "../../../src/errors.ts";

function evidence(overrides: Partial<Evidence> = {}): Evidence {
  const diagnose = () => ({ code: "crashed", advice: "read its last log lines" });
  return { model: "qwen", wasReady: false, lastLines: ["the end"], diagnose, ...overrides };
}

const timeout = (kind: string) => new AimError("model_start_timeout", "qwen was not ready", { data: { kind } });

describe("a start that was refused", () => {
  it("counts, with the cause that the driver knows", () => {
    const error = new AimError("runtime_failed", "no such image", { data: { failure: "image_not_found" } });
    const expected = { counts: true, cause: "image_not_found", message: "qwen could not be started" };
    expect(failureOf({ kind: "error", error }, evidence())).toMatchObject({ ...expected, advice: "no such image" });
  });

  it("does not count where the runtime was away", () => {
    const error = new AimError("runtime_unavailable", "cannot reach Docker");
    expect(failureOf({ kind: "error", error }, evidence())).toMatchObject({ counts: false, cause: error.code });
  });

  it("may be tried elsewhere at once where somebody else took its GPUs", () => {
    const error = new AimError("runtime_failed", "taken", { data: { failure: "gpu_taken" } });
    const failure = failureOf({ kind: "error", error }, evidence());
    expect(failure).toMatchObject({ counts: false, retryAtOnce: true, cause: "gpu_taken", code: "no_capacity" });
  });

  it("shows no secret of a refusal", () => {
    const error = new AimError("runtime_failed", "cannot run --api-key verysecret");
    expect(failureOf({ kind: "error", error }, evidence()).advice).toBe("cannot run --api-key ***");
  });
});

describe("a start that took too long", () => {
  it.each([
    ["silence", "stands still"],
    ["total", "raise startTimeout"],
  ])("by %s says what to do", (kind, remedy) => {
    const failure = failureOf({ kind: "error", error: timeout(kind) }, evidence());
    expect(failure).toMatchObject({ counts: true, code: "model_start_timeout", cause: "start_timeout" });
    expect(failure.advice).toContain(remedy);
  });

  it("is explained by what its log shows", () => {
    const diagnose = () => ({ code: "download_failed", advice: "check the network" });
    const failure = failureOf({ kind: "error", error: timeout("silence") }, evidence({ diagnose }));
    expect(failure.advice).toBe("check the network (download_failed)");
  });
});

describe("an engine that ended", () => {
  const exit = (code: number, outOfMemory = false) =>
    ({ kind: "exited", exit: { code, outOfMemory }, afterOutage: false }) as const;

  it.each([
    ["while it was loading", exit(1), false, true],
    ["well while it was loading", exit(0), false, true],
    ["after it had been ready", exit(1), true, true],
    ["because somebody stopped it", exit(143), true, false],
    ["for want of memory, whatever its code", exit(143, true), true, true],
    ["with its runtime", { ...exit(137), afterOutage: true }, true, false],
    ["with its runtime while it was loading", { ...exit(137), afterOutage: true }, false, false],
  ] as const)("%s", (_, end, wasReady, counts) => {
    expect(failureOf(end, evidence({ wasReady })).counts).toBe(counts);
  });

  it("is no crash where it vanished, be it in an outage or by hand", () => {
    const advice = [true, false].map((afterOutage) => {
      const failure = failureOf({ kind: "vanished", afterOutage }, evidence());
      expect(failure).toMatchObject({ counts: false, cause: "vanished" });
      return failure.advice;
    });
    expect(advice[0]).toContain("outage");
    expect(advice[1]).toContain("removed from outside");
  });

  it.each([
    ["put to sleep", "sleepless", "sleep_failed"],
    ["woken", "unwakeable", "wake_failed"],
  ] as const)("is not held against its starts when it could not be %s", (what, kind, cause) => {
    const error = new Error("/sleep answered 500 to Bearer hf_abcdefghijklmnopqrstuvwxyz");
    const failure = failureOf({ kind, error }, evidence({ wasReady: true }));
    expect(failure).toMatchObject({ counts: false, cause, message: expect.stringContaining(what) });
    expect(failure.advice).toContain("/sleep answered 500");
    expect(failure.advice).toContain("not put to sleep");
    expect(failure.advice).not.toContain("abcdefghijklmnop");
  });

  it("never tells those who waited what it said last", () => {
    const ends = [exit(1), { kind: "stalled", silentMs: 180_000 }, { kind: "maimed" }] as const;
    for (const end of ends) expect(failureOf(end, evidence()).message).not.toContain("the end");
  });
});
