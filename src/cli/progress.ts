// Shows how something comes along: a living block of lines on a terminal, one line per change elsewhere.
import { createLogUpdate } from "log-update";
import { environment, type Environment } from "../config.ts";
import type { Clock } from "../lib/clock.ts";
import { clean } from "./clean.ts";
import type { Io, Output } from "./io.ts";

/** One thing that comes along. */
export interface ProgressRow {
  /** Tells it from the others. */
  readonly key: string;
  readonly phase: string;
  readonly text: string;
  readonly elapsed: string;
  /** How long it will take yet: "about 40 s left". */
  readonly left?: string;
  /** Lines below it for as long as it lives: the bars of a pull. */
  readonly details?: readonly string[];
}

export interface Progress {
  /** Everything there is to show now. */
  show(rows: readonly ProgressRow[]): void;
  /** Leaves the last line of each row where it is. */
  end(): void;
}

/** `CI` and `NO_COLOR` ask for plain lines, as does a terminal that cannot move its cursor or does not know its width. */
export function isLive(output: Output, env: Environment): boolean {
  return output.isTTY === true && output.columns !== 0 && !env["CI"] && !env["NO_COLOR"] && env["TERM"] !== "dumb";
}

export function createProgress(io: Io): Progress {
  return isLive(io.stderr, io.env ?? environment())
    ? new LiveProgress(io.stderr)
    : new PlainProgress(io.stderr, io.clock);
}

/** A block of lines that is drawn anew in its place. */
export function createBlock(output: Output): ReturnType<typeof createLogUpdate> {
  // It writes, and reads columns, rows and isTTY: all of that an Output has.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  const stream = output as NodeJS.WriteStream;
  // A hidden cursor would stay hidden after a kill.
  return createLogUpdate(stream, { showCursor: true });
}

class LiveProgress implements Progress {
  readonly #block: ReturnType<typeof createLogUpdate>;
  #rows: readonly ProgressRow[] = [];

  constructor(output: Output) {
    this.#block = createBlock(output);
  }

  /** The last line of a phase that is over stays on the screen, above the block. */
  show(rows: readonly ProgressRow[]): void {
    this.#keep(
      this.#rows.filter((before) => !rows.some(({ key, phase }) => key === before.key && phase === before.phase)),
    );
    this.#rows = rows;
    if (rows.length > 0)
      this.#block(rows.flatMap((row) => [clean(lineOf(row)), ...(row.details ?? []).map(clean)]).join("\n"));
  }

  end(): void {
    this.#keep(this.#rows);
    this.#rows = [];
  }

  /** In place of the block, which is drawn anew below. */
  #keep(rows: readonly ProgressRow[]): void {
    if (rows.length > 0) this.#block.persist(rows.map(lastOf).join("\n"));
  }
}

/** CI systems end jobs that say nothing for minutes. */
const NEWS_EVERY_MS = 30_000;

class PlainProgress implements Progress {
  readonly #output: Output;
  readonly #clock: Clock;
  readonly #said = new Map<string, { readonly text: string; readonly at: number }>();

  constructor(output: Output, clock: Clock) {
    this.#output = output;
    this.#clock = clock;
  }

  show(rows: readonly ProgressRow[]): void {
    for (const row of rows) {
      if (!this.#isNews(row)) continue;
      this.#said.set(row.key, { text: row.text, at: this.#clock.now() });
      const line = lineOf(row);
      this.#output.write(`${this.#output.isTTY ? clean(line) : line}\n`);
    }
  }

  end(): void {
    this.#said.clear();
  }

  /** A number that moves is worth a line only now and then. */
  #isNews({ key, text }: ProgressRow): boolean {
    const before = this.#said.get(key);
    if (before === undefined || shapeOf(before.text) !== shapeOf(text)) return true;
    return before.text !== text && this.#clock.now() - before.at >= NEWS_EVERY_MS;
  }
}

/** A line while it lasts. */
function lineOf({ text, left = "", elapsed }: ProgressRow): string {
  return left === "" ? `${text}  ${elapsed}` : `${text}, ${left}, ${elapsed} so far`;
}

/** A line that stays: nothing of it is left. */
function lastOf({ text, elapsed }: ProgressRow): string {
  return clean(`${text}  ${elapsed}`);
}

/** Without what moves: "1.5 GiB" and "900 MiB", "2m 10s" and "40 s" are the same thing at other times. */
export function shapeOf(text: string): string {
  return text.replaceAll(/\d+(\.\d+)?( ?([KMGT]iB|B|ms|[smhd])\b)?/g, "#").replaceAll(/#( #)+/g, "#");
}
