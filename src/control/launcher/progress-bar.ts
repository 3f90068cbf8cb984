// A progress bar that several processes of one engine draw at the same time, each its own: the slowest counts, and what is
// shown never goes back, unless they all begin anew (a second model, another set of graphs).

interface Mark {
  readonly round: number;
  readonly percent: number;
}

/** Less says too little about the speed. */
const TELLING_PERCENT = 5;

export class ProgressBar {
  readonly #marks = new Map<string, Mark>();
  #round = 0;
  #shown: number | undefined;
  #first: { readonly percent: number; readonly at: number } | undefined;
  #lastAt = 0;

  get percent(): number | undefined {
    return this.#shown;
  }

  /** Returns whether this process is further than it was. */
  report(worker: string, percent: number, now: number): boolean {
    const before = this.#marks.get(worker);
    if (before?.percent === percent) return false;
    const fellBack = before !== undefined && percent < before.percent;
    const round = fellBack ? before.round + 1 : (before?.round ?? this.#round);
    this.#marks.set(worker, { round, percent });
    if (round > this.#round) {
      this.#round = round;
      this.#shown = undefined;
    }
    this.#show(now);
    return true;
  }

  /** Time until it is full, by its speed so far; undefined while that is hard to tell. */
  leftMs(now: number): number | undefined {
    if (this.#shown === undefined || this.#first === undefined) return undefined;
    const gained = this.#shown - this.#first.percent;
    if (gained < TELLING_PERCENT) return undefined;
    const msPerPercent = (this.#lastAt - this.#first.at) / gained;
    return Math.max(0, (100 - this.#shown) * msPerPercent - (now - this.#lastAt));
  }

  #show(now: number): void {
    const current = [...this.#marks.values()].filter(({ round }) => round === this.#round);
    const slowest = Math.min(...current.map(({ percent }) => percent));
    if (this.#shown === undefined) this.#first = { percent: slowest, at: now };
    else if (slowest <= this.#shown) return;
    this.#shown = slowest;
    this.#lastAt = now;
  }
}
