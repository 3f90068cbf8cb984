import { describe, expect, it } from "vitest";
import { Watch } from "../../src/gateway/watch.ts";
import { FakeClock } from "../support/clock.ts";

/** Something with a time limit, which tells when it was ended. */
class Limited {
  place = -1;
  endedAt: number | undefined;
  dueAt: number;
  readonly #watch: Watch;
  readonly onEnd: () => void;

  constructor(watch: Watch, clock: FakeClock, dueAt: number, onEnd = () => {}) {
    this.#watch = watch;
    this.dueAt = dueAt;
    this.onEnd = onEnd;
    watch.add(this, clock.now(), dueAt);
  }

  look(now: number): number {
    if (this.endedAt !== undefined) return Infinity;
    if (now < this.dueAt) return this.dueAt;
    this.end(now);
    return Infinity;
  }

  end(now: number): void {
    this.endedAt = now;
    this.#watch.delete(this);
    this.onEnd();
  }
}

function setUp() {
  const clock = new FakeClock();
  const watch = new Watch(clock);
  return { clock, watch, limited: (dueAt: number, onEnd?: () => void) => new Limited(watch, clock, dueAt, onEnd) };
}

describe("the watch", () => {
  it("ends each when its time is up, to the millisecond, with one timer", async () => {
    const { clock, limited } = setUp();
    const all = [5_500, 20, 1_000, Infinity, 20].map((dueAt) => limited(dueAt));
    expect(clock.pending).toBe(1);
    await clock.advance(10_000);
    expect(all.map(({ endedAt }) => endedAt)).toEqual([5_500, 20, 1_000, undefined, 20]);
  });

  it("waits on for one whose time was put off, and hears of one whose time comes sooner", async () => {
    const { clock, watch, limited } = setUp();
    const [later, sooner] = [limited(500), limited(60_000)];
    later.dueAt = 2_345;
    await clock.advance(100);
    sooner.dueAt = 250;
    watch.expect(clock.now(), 250);
    await clock.advance(10_000);
    expect([later.endedAt, sooner.endedAt]).toEqual([2_345, 250]);
  });

  it("bears that some end others, or begin new ones, while it looks", async () => {
    const { clock, limited } = setUp();
    const other = limited(100);
    const made: Limited[] = [];
    const first = limited(50, () => {
      other.end(clock.now());
      made.push(limited(70));
    });
    await clock.advance(1_000);
    expect([first.endedAt, other.endedAt, made[0]?.endedAt]).toEqual([50, 50, 70]);
    expect(clock.pending).toBe(0);
  });

  it("leaves no timer when nothing is left", () => {
    const { clock, limited } = setUp();
    const all = [limited(50), limited(60)];
    for (const one of all) one.end(0);
    expect(clock.pending).toBe(0);
  });
});
