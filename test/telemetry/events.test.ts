// The ring of events: what it keeps, and who hears of it.
import { describe, expect, it } from "vitest";
import { EventLog } from "../../src/telemetry/events.ts";
import { FakeClock } from "../support/clock.ts";

const event = (message: string) => ({ type: "replica:ready", message });
const ids = (events: readonly { readonly id: number }[]) => events.map(({ id }) => id);

describe("the event log", () => {
  it("keeps the last events only, oldest first, under ids that go on rising", () => {
    const log = new EventLog(new FakeClock(), 3);
    for (const message of ["a", "b", "c", "d", "e"]) log.publish(event(message));
    expect(log.since(0).map(({ id, message }) => `${id} ${message}`)).toEqual(["3 c", "4 d", "5 e"]);
    expect(log.newest).toBe(5);
  });

  it("tells what is newer than an id, be that kept, lost, or yet to come", () => {
    const log = new EventLog(new FakeClock(), 3);
    expect(log.since(0)).toEqual([]);
    for (const message of ["a", "b"]) log.publish(event(message));
    expect(ids(log.since(0))).toEqual([1, 2]);
    expect(ids(log.since(1))).toEqual([2]);
    for (const message of ["c", "d", "e", "f"]) log.publish(event(message));
    expect(ids(log.since(1))).toEqual([4, 5, 6]);
    expect(ids(log.since(5))).toEqual([6]);
    expect(log.since(6)).toEqual([]);
    expect(log.since(99)).toEqual([]);
  });

  it("writes down when an event happened, not when somebody looked", async () => {
    const clock = new FakeClock();
    const log = new EventLog(clock);
    log.publish(event("a"));
    await clock.advance(60_000);
    expect(log.since(0)[0]?.time).toBe("2026-01-01T00:00:00.000Z");
  });

  it("tells followers at once, until they leave", () => {
    const log = new EventLog(new FakeClock(), 2);
    const heard: string[] = [];
    const leave = log.follow(({ message }) => void heard.push(message));
    log.publish(event("a"));
    leave();
    log.publish(event("b"));
    expect(heard).toEqual(["a"]);
    expect(log.followers).toBe(0);
  });

  it("that keeps nothing is heeded only while somebody follows", () => {
    const log = new EventLog(new FakeClock(), 0);
    expect(log.isHeeded).toBe(false);
    const heard: number[] = [];
    log.follow(({ id }) => void heard.push(id));
    expect(log.isHeeded).toBe(true);
    log.publish(event("a"));
    expect(heard).toEqual([1]);
    expect(log.since(0)).toEqual([]);
  });
});
