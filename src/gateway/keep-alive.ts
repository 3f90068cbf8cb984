// The waiting protocol of streams: a client that waits hears within a second what it is waiting for, then whenever that
// changes, and steadily in any case, so that nothing between it and us takes the silence for death.
import type { Clock, Timer } from "../lib/clock.ts";
import type { Reply } from "./reply.ts";

export interface KeepAliveOptions {
  readonly clock: Clock;
  readonly firstHeartbeatMs: number;
  /** Longest silence. */
  readonly heartbeatMs: number;
  /** How often to look whether there is something new to say. */
  readonly progressMs: number;
  /** Whether the model has to be started, or is only busy. */
  isColdStart(): boolean;
  /** What is being waited for right now. */
  describe(): string;
}

/** Comments on a reply until `stop`, or by itself until the backend's first byte. */
export class KeepAlive {
  readonly #reply: Reply;
  readonly #options: KeepAliveOptions;
  #timer: Timer;
  #said = "";
  #saidAt = -Infinity;

  constructor(reply: Reply, options: KeepAliveOptions) {
    this.#reply = reply;
    this.#options = options;
    this.#timer = options.clock.setTimer(options.firstHeartbeatMs, () => {
      reply.hold(options.isColdStart() ? "cold" : "warm");
      this.#look();
    });
  }

  stop(): void {
    this.#timer.cancel();
  }

  #look(): void {
    if (this.#reply.begun) return;
    const { clock, heartbeatMs, progressMs } = this.#options;
    const words = this.#options.describe();
    const isDue = clock.now() - this.#saidAt >= heartbeatMs;
    if (isDue || words !== this.#said) {
      this.#reply.comment(words);
      this.#said = words;
      this.#saidAt = clock.now();
    }
    const nextMs = Math.min(progressMs, this.#saidAt + heartbeatMs - clock.now());
    this.#timer = clock.setTimer(nextMs, () => this.#look());
  }
}
