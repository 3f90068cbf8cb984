import { describe, expect, it } from "vitest";
import { reportsOf } from "../../src/lib/reports.ts";
import { settle } from "../support/clock.ts";

const never = new AbortController().signal;

/** Work that does what the test says, when the test says so. */
function scripted<T>() {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let report: (value: T) => void = () => {};
  let signal: AbortSignal = never;
  const work = async (tell: (value: T) => void, given: AbortSignal): Promise<void> => {
    report = tell;
    signal = given;
    given.addEventListener("abort", () => reject(new Error("interrupted")), { once: true });
    await promise;
  };
  return { work, say: (value: T) => report(value), end: resolve, fail: reject, isCut: () => signal.aborted };
}

describe("work that reports", () => {
  it("gives each report to who waits for it, then ends", async () => {
    const job = scripted<number>();
    const reports = reportsOf(job.work, never);
    const first = reports.next();
    await settle();
    job.say(1);
    expect(await first).toEqual({ done: false, value: 1 });
    const second = reports.next();
    job.say(2);
    expect(await second).toEqual({ done: false, value: 2 });
    job.end();
    expect(await reports.next()).toEqual({ done: true, value: undefined });
  });

  it("gives who reads slowly the latest report, the last one always", async () => {
    const job = scripted<number>();
    const reports = reportsOf(job.work, never);
    const first = reports.next();
    for (const value of [1, 2, 3]) job.say(value);
    expect(await first).toMatchObject({ value: 3 });
    job.say(4);
    job.end();
    await settle();
    expect(await reports.next()).toMatchObject({ value: 4 });
    expect(await reports.next()).toMatchObject({ done: true });
  });

  it("throws what the work threw, after its last report", async () => {
    const job = scripted<number>();
    const reports = reportsOf(job.work, never);
    const first = reports.next();
    job.say(1);
    job.fail(new Error("the registry is gone"));
    expect(await first).toMatchObject({ value: 1 });
    await expect(reports.next()).rejects.toThrow("the registry is gone");
  });

  it("ends the work when its reader leaves", async () => {
    const job = scripted<number>();
    const reports = reportsOf(job.work, never);
    const first = reports.next();
    job.say(1);
    await first;
    expect(job.isCut()).toBe(false);
    await reports.return();
    expect(job.isCut()).toBe(true);
  });

  it("ends the work when the signal aborts", async () => {
    const job = scripted<number>();
    const leaving = new AbortController();
    const reports = reportsOf(job.work, leaving.signal);
    const first = reports.next();
    leaving.abort(new Error("the gateway stops"));
    await expect(first).rejects.toThrow("interrupted");
  });

  it("throws what the work throws before it has begun to wait", async () => {
    const reports = reportsOf(() => Promise.reject(new Error("no such image")), never);
    await expect(reports.next()).rejects.toThrow("no such image");
  });
});
