// Where commands write: data to stdout, everything said to a person to stderr, neither able to give the terminal orders.
import { clean } from "./clean.ts";
import type { Io, Output } from "./io.ts";

export class Terminal {
  readonly #io: Pick<Io, "stdout" | "stderr">;

  constructor(io: Pick<Io, "stdout" | "stderr">) {
    this.#io = io;
  }

  /** One line (or several) of data. Resolves when there is room for more. */
  print(text: string): Promise<void> {
    return writeLine(this.#io.stdout, text);
  }

  /** An object of the admin API, as it is. */
  printJson(value: unknown): Promise<void> {
    return this.print(JSON.stringify(value, undefined, 2));
  }

  /** One line for the person at the terminal. */
  note(text: string): Promise<void> {
    return writeLine(this.#io.stderr, text);
  }
}

async function writeLine(output: Output, text: string): Promise<void> {
  const line = output.isTTY ? clean(text) : text;
  if (output.write(`${line}\n`)) return;
  await new Promise<void>((resolve) => output.once("drain", resolve));
}
