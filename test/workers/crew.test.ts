// Workers that die or cannot serve, and what becomes of their places in the crew.
import { describe, expect, it, onTestFinished } from "vitest";
import { AimError } from "../../src/errors.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { Crew, type Thread } from "../../src/workers/crew.ts";
import { TallyLender } from "../../src/workers/lender.ts";
import { type Report, sentError } from "../../src/workers/messages.ts";
import { Tally, tallyMemory } from "../../src/workers/tally.ts";
import { FakeClock, settle } from "../support/clock.ts";

/** A thread that does what the test says; what a desk needs of the fleet, nobody here asks for. */
class FakeThread implements Thread {
  report: (report: Report) => void = () => {};
  end: () => void = () => {};
  tell(): void {}
  onError(): void {}

  onReport(listener: (report: Report) => void): void {
    this.report = listener;
  }

  onEnd(listener: () => void): void {
    this.end = listener;
  }

  terminate(): Promise<void> {
    this.end();
    return Promise.resolve();
  }
}

function setUp() {
  const clock = new FakeClock();
  const threads: FakeThread[] = [];
  let refusals = 0;
  const start = () => {
    if (refusals-- > 0) throw new Error("ERR_WORKER_INIT_FAILED");
    const thread = new FakeThread();
    threads.push(thread);
    return thread;
  };
  const lender = new TallyLender(new Tally(tallyMemory(1)), "predicted-ttft");
  const crew = new Crew({ clock, lender, count: 1, logger: silentLogger, start, writeLog: () => {} } as never);
  onTestFinished(async () => {
    const closed = crew.close(0);
    await clock.advance(5_000);
    await closed;
  });
  return { clock, threads, crew, refuse: (times: number) => void (refusals = times) };
}

describe("a crew", () => {
  it("replaces a worker that has died, later each time it dies young", async () => {
    const { clock, threads, crew } = setUp();
    const started = crew.start();
    threads[0]!.report({ kind: "listening" });
    await started;
    threads[0]!.end();
    await clock.advance(999);
    expect(threads).toHaveLength(1);
    await clock.advance(1);
    expect(threads).toHaveLength(2);
    threads[1]!.end();
    await clock.advance(1_999);
    expect(threads).toHaveLength(2);
    await clock.advance(1);
    expect(threads).toHaveLength(3);
  });

  it("ends a worker that cannot serve, and tries again", async () => {
    const { clock, threads, crew } = setUp();
    const started = crew.start();
    threads[0]!.report({ kind: "listening" });
    await started;
    threads[0]!.end();
    await clock.advance(1_000);
    threads[1]!.report({ kind: "cannot serve", error: sentError(new AimError("invalid_config", "the port is taken")) });
    await clock.advance(2_000);
    expect(threads).toHaveLength(3);
  });

  it("tries again, later each time, where no thread is to be had", async () => {
    const { clock, threads, crew, refuse } = setUp();
    const started = crew.start();
    threads[0]!.report({ kind: "listening" });
    await started;
    refuse(2);
    threads[0]!.end();
    await clock.advance(1_000 + 2_000 + 3_999);
    expect(threads).toHaveLength(1);
    await clock.advance(1);
    expect(threads).toHaveLength(2);
  });

  it("does not begin where a worker cannot serve from the start, and says why", async () => {
    const { threads, crew } = setUp();
    const started = crew.start();
    threads[0]!.report({ kind: "cannot serve", error: sentError(new AimError("invalid_config", "the port is taken")) });
    await expect(started).rejects.toMatchObject({ code: "invalid_config", message: "the port is taken" });
  });

  it("is closed without starting anybody again", async () => {
    const { clock, threads, crew } = setUp();
    const started = crew.start();
    threads[0]!.report({ kind: "listening" });
    await started;
    const closed = crew.close(1_000);
    threads[0]!.report({ kind: "closed" });
    await closed;
    await clock.advance(60_000);
    expect(threads).toHaveLength(1);
    await settle();
    expect(clock.pending).toBe(0);
  });
});
