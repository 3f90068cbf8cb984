// What is remembered of the load of one model, and what follows from it for its replicas.
//
//   in     a sample every few seconds: how many replicas there are, and what they have to do
//   out    how many there should be, in numbers and in words; nothing while there are as many as there should be
//   ends   when the model has no replicas any more, or can have no other number of them
import { formatDuration } from "../../lib/units.ts";
import type { ScaleTarget } from "../snapshot.ts";
import { desiredReplicas, type Samples, type ScaleRule } from "./desired.ts";
import { LoadWindow } from "./load-window.ts";

/** Over how long it is judged whether there are too few, or too many. */
export interface ScaleWindows {
  readonly upMs: number;
  readonly downMs: number;
}

export interface Sample {
  /** Replicas that serve or are coming up. */
  readonly current: number;
  /** Requests in flight and waiting. */
  readonly load: number;
  /** For how long somebody has waited while all replicas served and were full. */
  readonly starvedMs: number;
}

/** Of the window down: enough not to forget a minute too early, few enough to look at each time. */
const DOWN_BUCKETS = 60;
/** So many times the usual pause between two samples, and the gateway stood still rather than being busy. */
const LATE = 3;

export class ScaleTrack {
  readonly #windows: ScaleWindows & { readonly everyMs: number };
  readonly #load: LoadWindow;
  /** As the load, but no moment counts for more than would double the replicas: a spike of a second is no reason to start one. */
  readonly #pressure: LoadWindow;
  readonly #most: LoadWindow;
  #current: number;
  #base: number;
  #baseAt = -Infinity;
  /** Since when there are as many as there are. */
  #steadySince: number;
  #lastAt: number;

  constructor(windows: ScaleWindows & { readonly everyMs: number }, current: number, now: number) {
    const { upMs, downMs, everyMs } = windows;
    this.#windows = windows;
    this.#load = new LoadWindow(upMs, everyMs);
    this.#pressure = new LoadWindow(upMs, everyMs);
    this.#most = new LoadWindow(downMs, Math.max(everyMs, downMs / DOWN_BUCKETS));
    this.#current = current;
    this.#base = current;
    this.#steadySince = now;
    this.#lastAt = now;
  }

  /** While none serves: what waits then waits for a start, and says nothing about how many are needed. */
  rest(current: number, now: number): void {
    this.#count(current, now);
    this.#steadySince = now;
    this.#lastAt = now;
  }

  take({ current, load, starvedMs }: Sample, rule: ScaleRule, now: number): ScaleTarget | undefined {
    this.#count(current, now);
    const ms = this.#sinceLast(now);
    this.#load.add(now, ms, load);
    this.#pressure.add(now, ms, Math.min(load, 2 * current * rule.target));
    this.#most.add(now, ms, load);
    const isObserved = now - this.#steadySince >= this.#windows.downMs;
    const samples = {
      current,
      base: this.#base,
      average: this.#pressure.average(now),
      isStarved: starvedMs >= this.#windows.upMs,
      ...(isObserved ? { peak: this.#most.peak(now) } : {}),
    };
    const replicas = desiredReplicas(samples, rule);
    if (replicas === current) return undefined;
    return { replicas, reason: replicas > current ? this.#whyMore(samples, rule, now) : this.#whyFewer(samples, rule) };
  }

  /** What went by while the gateway stood still was not seen: it counts as one sample, and ends what was observed without a break. */
  #sinceLast(now: number): number {
    const { everyMs } = this.#windows;
    const ms = now - this.#lastAt;
    this.#lastAt = now;
    if (ms <= LATE * everyMs) return ms;
    this.#steadySince = now;
    return everyMs;
  }

  #count(current: number, now: number): void {
    if (now - this.#baseAt >= this.#windows.upMs) this.#base = this.#current;
    if (current === this.#current) return;
    if (this.#base === this.#current) this.#baseAt = now;
    this.#current = current;
    this.#steadySince = now;
  }

  #whyMore({ current, average, isStarved }: Samples, { target }: ScaleRule, now: number): string {
    const { upMs } = this.#windows;
    if (isStarved && average <= current * target)
      return `requests have waited for ${formatDuration(upMs)} and longer while all replicas were full`;
    const each = Math.round((10 * this.#load.average(now)) / current) / 10;
    return `${each} requests per replica over the last ${formatDuration(upMs)}, where ${target} are meant`;
  }

  #whyFewer({ peak = 0 }: Samples, { target }: ScaleRule): string {
    const window = formatDuration(this.#windows.downMs);
    return `never more than ${peak} requests at a time over the last ${window}, where one replica is meant for ${target}`;
  }
}
