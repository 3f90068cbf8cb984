// What happened in a simulated life, for people: its last lines.
import type { Clock } from "../../src/lib/clock.ts";

const KEPT = 80;

export class Story {
  readonly #clock: Pick<Clock, "now">;
  readonly #lines: (readonly [at: number, text: string])[] = [];

  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
  }

  tell(text: string): void {
    this.#lines.push([this.#clock.now(), text]);
    if (this.#lines.length >= 4 * KEPT) this.#lines.splice(0, this.#lines.length - KEPT);
  }

  /** The last lines, each with the time in seconds. */
  ending(): string {
    return this.#lines
      .slice(-KEPT)
      .map(([at, text]) => `${(at / 1000).toFixed(3).padStart(9)} ${text}`)
      .join("\n");
  }
}
