// What there was to do over the last while: a ring of buckets, so that a sample costs the same however long the window is.

interface Bucket {
  /** Which stretch of time it holds; an older one is overwritten when its turn comes again. */
  index: number;
  ms: number;
  /** Load times time. */
  area: number;
  peak: number;
}

export class LoadWindow {
  readonly #spanMs: number;
  readonly #bucketMs: number;
  readonly #buckets: readonly Bucket[];

  constructor(spanMs: number, bucketMs: number) {
    this.#spanMs = spanMs;
    this.#bucketMs = bucketMs;
    // The bucket that is being filled holds less than its share: one more makes sure that the whole window is covered.
    const count = Math.ceil(spanMs / bucketMs) + 1;
    this.#buckets = Array.from({ length: count }, () => ({ index: -Infinity, ms: 0, area: 0, peak: 0 }));
  }

  /** `load` was there for the `ms` before `now`. */
  add(now: number, ms: number, load: number): void {
    const index = Math.floor(now / this.#bucketMs);
    const bucket = this.#buckets[index % this.#buckets.length];
    if (bucket === undefined) return;
    if (bucket.index !== index) Object.assign(bucket, { index, ms: 0, area: 0, peak: 0 });
    bucket.ms += ms;
    bucket.area += load * ms;
    bucket.peak = Math.max(bucket.peak, load);
  }

  /** Over the whole window: what was not observed counts as nothing to do. */
  average(now: number): number {
    let ms = 0;
    let area = 0;
    for (const bucket of this.#recent(now)) {
      ms += bucket.ms;
      area += bucket.area;
    }
    return area / Math.max(ms, this.#spanMs);
  }

  peak(now: number): number {
    return Math.max(0, ...this.#recent(now).map(({ peak }) => peak));
  }

  #recent(now: number): readonly Bucket[] {
    const oldest = Math.floor(now / this.#bucketMs) - this.#buckets.length;
    return this.#buckets.filter(({ index }) => index > oldest);
  }
}
