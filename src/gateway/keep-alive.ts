// The waiting protocol of streams: a client that waits hears within a second, and then steadily, what it is waiting for.
import type { Clock, Timer } from "../lib/clock.ts";
import type { Reply } from "./reply.ts";

export interface KeepAliveOptions {
  readonly clock: Clock;
  readonly firstHeartbeatMs: number;
  readonly heartbeatMs: number;
  /** What is being waited for right now. */
  describe(): string;
}

/** Comments on a reply until `stop`, or by itself until the backend's first byte. */
export class KeepAlive {
  readonly #reply: Reply;
  readonly #options: KeepAliveOptions;
  #timer: Timer;

  constructor(reply: Reply, options: KeepAliveOptions) {
    this.#reply = reply;
    this.#options = options;
    this.#timer = options.clock.setTimer(options.firstHeartbeatMs, () => {
      reply.hold();
      this.#beat();
    });
  }

  stop(): void {
    this.#timer.cancel();
  }

  #beat(): void {
    if (this.#reply.begun) return;
    this.#reply.comment(this.#options.describe());
    this.#timer = this.#options.clock.setTimer(this.#options.heartbeatMs, () => this.#beat());
  }
}
