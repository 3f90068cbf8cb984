import { describe, expect, it } from "vitest";
import type { ScaleRule } from "../../../src/control/autoscale/desired.ts";
import { ScaleTrack } from "../../../src/control/autoscale/scale-track.ts";

const WINDOWS = { upMs: 15_000, downMs: 300_000, everyMs: 1_000 };
const RULE: ScaleRule = { target: 16, floor: 1, max: 8 };

/** A model whose replicas follow what is said of them at once; a sample each second. */
class Model {
  readonly #track: ScaleTrack;
  readonly #rule: ScaleRule;
  /** Seconds, and replicas from then on. */
  readonly steps: [number, number][] = [];
  reason = "";
  #seconds = 0;
  #current: number;

  constructor(current = 1, rule: Partial<ScaleRule> = {}) {
    this.#current = current;
    this.#rule = { ...RULE, ...rule };
    this.#track = new ScaleTrack(WINDOWS, current, 0);
  }

  live(seconds: number, load: number, starvedMs = 0): this {
    for (let second = 0; second < seconds; second++) {
      this.#seconds += 1;
      const target = this.#track.take({ current: this.#current, load, starvedMs }, this.#rule, this.#seconds * 1_000);
      if (target === undefined) continue;
      this.#current = target.replicas;
      this.reason = target.reason;
      this.steps.push([this.#seconds, target.replicas]);
    }
    return this;
  }

  /** None of its replicas serves. */
  load(seconds: number): this {
    this.#seconds += seconds;
    this.#track.rest(this.#current, this.#seconds * 1_000);
    return this;
  }
}

describe("the replicas of a model whose load grows", () => {
  it("are as many as it takes within two windows", () => {
    const { steps } = new Model().live(120, 48);
    expect(steps.map(([, replicas]) => replicas)).toEqual([2, 3]);
    expect(steps.at(-1)?.[0]).toBeLessThanOrEqual(30);
  });

  it("are doubled once a window at most", () => {
    const { steps } = new Model().live(120, 1_000);
    expect(steps.map(([, replicas]) => replicas)).toEqual([2, 4, 8]);
    const [first = 0, second = 0, third = 0] = steps.map(([second]) => second);
    expect(second - first).toBeGreaterThanOrEqual(15);
    expect(third - second).toBeGreaterThanOrEqual(15);
  });

  it("stay as they are in a moment of much to do, however much", () => {
    expect(new Model().live(300, 1).live(3, 10_000).live(60, 1).steps).toEqual([]);
  });

  it("stay as they are while one takes long to come up", () => {
    const track = new ScaleTrack(WINDOWS, 2, 0);
    for (let second = 1; second <= 600; second++)
      expect(track.take({ current: 2, load: 32, starvedMs: 0 }, RULE, second * 1_000)).toBeUndefined();
  });

  it("are told why, in words", () => {
    expect(new Model().live(60, 24).reason).toMatch(
      /^\d+(\.\d)? requests per replica over the last 15 ?s, where 16 are meant$/,
    );
    expect(new Model(1, { target: 100 }).live(20, 24, 15_000).reason).toMatch(
      /^requests have waited for 15 ?s and longer/,
    );
  });

  it("are not judged by what waits for the first of them to come up", () => {
    expect(new Model().load(120).live(5, 100).steps).toEqual([]);
  });
});

describe("the replicas of a model whose load shrinks", () => {
  it("go one by one, a whole window apart", () => {
    const { steps, reason } = new Model(3).live(20, 48).live(1_000, 4);
    expect(steps.map(([, replicas]) => replicas)).toEqual([2, 1]);
    const [first = 0, second = 0] = steps.map(([seconds]) => seconds);
    expect(first - 20).toBeGreaterThanOrEqual(300);
    expect(first - 20).toBeLessThan(310);
    expect(second - first).toBeGreaterThanOrEqual(300);
    expect(reason).toMatch(/^never more than 4 requests at a time over the last 5 ?m/);
  });

  it("stay while every now and then all of them are needed", () => {
    const model = new Model(3);
    for (let round = 0; round < 10; round++) model.live(280, 4).live(1, 40);
    expect(model.steps).toEqual([]);
  });

  it("stay while it was not seen what there was to do", () => {
    const track = new ScaleTrack(WINDOWS, 3, 0);
    const sample = { current: 3, load: 4, starvedMs: 0 };
    for (let second = 1; second <= 290; second++) track.take(sample, RULE, second * 1_000);
    expect(track.take(sample, RULE, 900_000)).toBeUndefined();
    expect(track.take({ ...sample, load: 1_000 }, RULE, 901_000)).toBeUndefined();
  });

  it("do not come and go under a load that stays about the same", () => {
    const model = new Model();
    for (let round = 0; round < 300; round++) model.live(3, 20).live(3, 44).live(3, 31);
    expect(model.steps.map(([, replicas]) => replicas)).toEqual([2, 3]);
  });
});
