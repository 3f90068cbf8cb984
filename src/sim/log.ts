// The log in vLLM's form: who speaks, the level, the time without a year. Access lines go to stdout as uvicorn's do.
import type { Clock } from "../lib/clock.ts";

/** Where text goes; the process gives its own stdout and stderr. */
export interface Output {
  out(text: string): void;
  err(text: string): void;
}

export type Speaker = "APIServer" | "EngineCore" | `Worker_TP${number}`;

export class Log {
  readonly #output: Output;
  readonly #clock: Clock;

  constructor(output: Output, clock: Clock) {
    this.#output = output;
    this.#clock = clock;
  }

  info(speaker: Speaker, message: string): void {
    this.raw(`${prefixOf(speaker)} INFO ${this.#time()} [sim] ${message}\n`);
  }

  warn(message: string): void {
    this.raw(`${prefixOf("APIServer")} WARNING ${this.#time()} [sim] ${message}\n`);
  }

  error(speaker: Speaker, message: string): void {
    this.raw(`${prefixOf(speaker)} ERROR ${this.#time()} [sim] ${message}\n`);
  }

  /** Lines of uvicorn have no time. */
  uvicorn(message: string): void {
    this.raw(`${prefixOf("APIServer")} INFO:     ${message}\n`);
  }

  access(message: string): void {
    this.#output.out(`${prefixOf("APIServer")} INFO:     ${message}\n`);
  }

  /** As it is, for progress bars. */
  raw(text: string): void {
    this.#output.err(text);
  }

  #time(): string {
    return new Date(this.#clock.wallNow()).toISOString().slice(5, 19).replace("T", " ");
  }
}

/** How a process of vLLM marks its lines. */
export function prefixOf(speaker: Speaker): string {
  return `(${speaker} pid=${process.pid})`;
}
