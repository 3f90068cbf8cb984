import { describe, expect, it } from "vitest";
import { Pace } from "../../../src/control/launcher/pace.ts";
import { FakeClock } from "../../support/clock.ts";

const never = new AbortController().signal;
const SECOND = 1_000;
const MINUTE = 60 * SECOND;

/** A load that is asked on and on, as its pace has it. */
class Load {
  readonly clock = new FakeClock();
  readonly pace: Pace;
  readonly askedAt: number[] = [];
  readonly #over = new AbortController();
  readonly ended: Promise<unknown>;
  readonly #began = this.clock.now();

  constructor(options: { readonly usualMs?: number; readonly ranMs?: number } = {}) {
    const since = this.#began - (options.ranMs ?? 0);
    this.pace = new Pace({ clock: this.clock, since, usualMs: options.usualMs });
    this.ended = this.#ask().catch((error: unknown) => error);
  }

  async #ask(): Promise<void> {
    for (;;) {
      await this.pace.pause(this.#over.signal);
      this.askedAt.push(this.clock.now() - this.#began);
    }
  }

  /** The longest time between two questions in that part of the load. */
  longest(from: number, to: number): number {
    const times = this.askedAt.filter((at) => at >= from && at <= to);
    return Math.round(Math.max(...times.slice(1).map((at, index) => at - (times[index] ?? 0))));
  }

  async end(): Promise<void> {
    this.#over.abort(new Error("over"));
    await this.ended;
  }
}

describe("the pace of questions to a replica that loads", () => {
  it("lets pass no more than a hundredth of the load unseen, nor than half a second", async () => {
    const load = new Load();
    await load.clock.advance(5 * MINUTE);
    expect(load.longest(0, 2 * SECOND)).toBeLessThanOrEqual(25);
    expect(load.longest(0, 10 * SECOND)).toBeLessThanOrEqual(100);
    expect(load.longest(0, 5 * MINUTE)).toBe(500);
    await load.end();
  });

  it("asks a load of ten minutes fewer than 1,600 times", async () => {
    const load = new Load();
    await load.clock.advance(10 * MINUTE);
    expect(load.askedAt.length).toBeLessThan(1_600);
    await load.end();
  });

  it("is quick again where such a load usually ends", async () => {
    const load = new Load({ usualMs: 2 * MINUTE });
    await load.clock.advance(3 * MINUTE);
    expect(load.longest(60 * SECOND, 70 * SECOND)).toBe(500);
    expect(load.longest(2 * MINUTE - 5 * SECOND, 2 * MINUTE + 5 * SECOND)).toBeLessThanOrEqual(50);
    expect(load.longest(2 * MINUTE + 55 * SECOND, 3 * MINUTE)).toBe(500);
    await load.end();
  });

  it("is as slow for one that was found after minutes as if it had been there from the start", async () => {
    const load = new Load({ ranMs: 10 * MINUTE });
    await load.clock.advance(2 * SECOND);
    expect(load.askedAt).toEqual([500, 1_000, 1_500, 2_000]);
    await load.end();
  });

  it("asks at once when the log tells of last steps, then at growing intervals", async () => {
    const load = new Load({ ranMs: 10 * MINUTE });
    await load.clock.advance(100);
    load.pace.hurry();
    await load.clock.advance(MINUTE);
    expect(load.askedAt.slice(0, 4)).toEqual([100, 125, 150, 175]);
    expect(load.longest(20 * SECOND, MINUTE)).toBe(500);
    await load.end();
  });

  it("is not driven by a log that tells of last steps all the time", async () => {
    const load = new Load({ ranMs: 10 * MINUTE });
    for (let step = 0; step < 1_000; step++) {
      load.pace.hurry();
      await load.clock.advance(1);
    }
    expect(load.askedAt.length).toBeLessThanOrEqual(40);
    expect(load.longest(0, SECOND)).toBeLessThanOrEqual(25);
    await load.end();
  });

  it("does not forget what the log told while a question was under way", async () => {
    const clock = new FakeClock();
    const pace = new Pace({ clock, since: clock.now() - 10 * MINUTE, usualMs: undefined });
    pace.hurry();
    let isOver = false;
    const pause = pace.pause(never).then(() => (isOver = true));
    await clock.advance(25);
    expect(isOver).toBe(true);
    await pause;
  });

  it("ends a pause with the signal's reason, and leaves no timer", async () => {
    const load = new Load();
    await load.clock.advance(10);
    await load.end();
    expect(await load.ended).toMatchObject({ message: "over" });
    expect(load.clock.pending).toBe(0);
  });
});
