// Shows how a start comes along: one living line on a terminal, one line per change elsewhere.
import { clean } from "./clean.ts";
import type { Environment } from "../config.ts";
import type { Output } from "./io.ts";

export class Progress {
  readonly #output: Output;
  readonly #live: boolean;
  #phase = "";
  #shape = "";

  /** `CI` and `NO_COLOR` ask for plain lines, as does a terminal that cannot move its cursor. */
  constructor(output: Output, env: Environment) {
    this.#output = output;
    this.#live = output.isTTY === true && !env["CI"] && !env["NO_COLOR"] && env["TERM"] !== "dumb";
  }

  /** A line of the phase before stays on the screen; within a phase the line is rewritten. */
  update(phase: string, text: string, elapsed: string): void {
    if (this.#live) this.#rewrite(phase, clean(`${text}  ${elapsed}`));
    else this.#append(text, elapsed);
  }

  /** Leaves the last line as it is. */
  end(): void {
    if (this.#live && this.#phase !== "") this.#output.write("\n");
    this.#phase = "";
  }

  #rewrite(phase: string, text: string): void {
    if (this.#phase !== "" && phase !== this.#phase) this.#output.write("\n");
    this.#phase = phase;
    // A line that wraps could not be rewritten.
    this.#output.write(`\r\u001b[2K${text.slice(0, (this.#output.columns ?? 80) - 1)}`);
  }

  /** A percentage that moves is no change worth a line in a CI log. */
  #append(text: string, elapsed: string): void {
    const shape = text.replaceAll(/\d+(\.\d+)?/g, "#");
    if (shape === this.#shape) return;
    this.#shape = shape;
    this.#output.write(`${this.#output.isTTY ? clean(text) : text}  ${elapsed}\n`);
  }
}
