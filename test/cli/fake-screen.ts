// What stands on a terminal after all that was written to it: the sequences that live blocks use, and no others.

const TOKEN = /\u001b\[(\??[\d;]*)([A-Za-z])|[\r\n]|[^\u001b\r\n]+|\u001b/g; // oxlint-disable-line no-control-regex

/** The lines, without trailing spaces and without empty ones at the end. Throws at a sequence it does not know. */
export function screenOf(written: string, columns = 80): readonly string[] {
  const screen = new Screen(columns);
  for (const [token, argument = "", command] of written.matchAll(TOKEN)) {
    if (command !== undefined) screen.control(command, argument);
    else screen.print(token);
  }
  return screen.lines();
}

class Screen {
  readonly #columns: number;
  readonly #rows: string[] = [""];
  #row = 0;
  #column = 0;

  constructor(columns: number) {
    this.#columns = columns;
  }

  print(token: string): void {
    if (token === "\r") this.#column = 0;
    else if (token === "\n") this.#down();
    else for (const character of token) this.#put(character);
  }

  control(command: string, argument: string): void {
    const count = Number(argument || 1);
    if (command === "A") this.#row = Math.max(0, this.#row - count);
    else if (command === "B") this.#row = Math.min(this.#rows.length - 1, this.#row + count);
    else if (command === "G") this.#column = count - 1;
    else if (command === "K") this.#erase(argument);
    else if (argument !== "?2026") throw new Error(`an unknown sequence: ESC[${argument}${command}`);
  }

  lines(): readonly string[] {
    return this.#rows
      .map((row) => row.trimEnd())
      .join("\n")
      .trimEnd()
      .split("\n");
  }

  #put(character: string): void {
    if (this.#column === this.#columns) this.#down();
    const row = (this.#rows[this.#row] ?? "").padEnd(this.#column);
    this.#rows[this.#row] = row.slice(0, this.#column) + character + row.slice(this.#column + 1);
    this.#column++;
  }

  #down(): void {
    this.#row++;
    this.#column = 0;
    if (this.#row === this.#rows.length) this.#rows.push("");
  }

  #erase(argument: string): void {
    this.#rows[this.#row] = argument === "2" ? "" : (this.#rows[this.#row] ?? "").slice(0, this.#column);
  }
}
