// Passes on how far a pull is: to everyone who waits for it, at most a few times a second, and the last word always.
import type { Clock, Timer } from "../../lib/clock.ts";
import type { PullProgress } from "../driver.ts";

/** Docker reports a busy pull a hundred times a second; nobody reads that fast. */
const EVERY_MS = 200;

type Watcher = (progress: PullProgress) => void;

const NOTHING_YET: PullProgress = { doneBytes: 0, totalBytes: undefined, layers: [] };

/** Quiet, or with a timer that will tell what has come since the last report. */
export class PullReports {
  readonly #clock: Clock;
  readonly #watchers = new Set<Watcher>();
  #read: () => PullProgress = () => NOTHING_YET;
  #toldAt = -Infinity;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Tells `watcher` at once how far the pull is. Returns what ends the reports to it. */
  watch(watcher: Watcher): () => void {
    // A function of its own per caller, since two may observe with the same one.
    const own: Watcher = (progress) => watcher(progress);
    this.#watchers.add(own);
    own(this.#read());
    return () => this.#watchers.delete(own);
  }

  get isWatched(): boolean {
    return this.#watchers.size > 0;
  }

  /** There is news; `read` is called when it is told. */
  changed(read: () => PullProgress): void {
    this.#read = read;
    if (this.#timer !== undefined) return;
    const waitMs = this.#toldAt + EVERY_MS - this.#clock.now();
    if (waitMs <= 0) this.#tell();
    else this.#timer = this.#clock.setTimer(waitMs, () => this.#tell());
  }

  /** Tells what has not been told yet. */
  end(): void {
    if (this.#timer !== undefined) this.#tell();
  }

  #tell(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#toldAt = this.#clock.now();
    const progress = this.#read();
    for (const watcher of this.#watchers) watcher(progress);
  }
}
