// Bytes of a log in, lines of text out: bounded, without terminal escapes, whatever ends a line (\n, \r\n or a progress bar's \r).
import { StringDecoder } from "node:string_decoder";
import { stripVTControlCharacters } from "node:util";

/** Longer lines are cut here; what follows up to the line's end is dropped. */
export const MAX_LINE_LENGTH = 8 * 1024;

/** Control characters but the tab: a log line must not be able to move a terminal's cursor. */
const CONTROL = /[^\P{Cc}\t]/gu;

/** Keeps the unfinished line between chunks. Empty lines are left out: every `\r` of a progress bar would make one. */
export class LineSplitter {
  readonly #decoder = new StringDecoder("utf8");
  readonly #maxLength: number;
  #unfinished = "";

  constructor({ maxLength = MAX_LINE_LENGTH }: { readonly maxLength?: number } = {}) {
    this.#maxLength = maxLength;
  }

  push(chunk: Buffer): string[] {
    const [first = "", ...others] = this.#decoder.write(chunk).split(/[\r\n]/);
    const pieces = [this.#unfinished + first, ...others].map((piece) => piece.slice(0, this.#maxLength));
    this.#unfinished = pieces.pop() ?? "";
    return pieces.map(clean).filter((line) => line !== "");
  }

  /** The line that nothing ended, if there is one. */
  end(): string[] {
    const line = clean((this.#unfinished + this.#decoder.end()).slice(0, this.#maxLength));
    this.#unfinished = "";
    return line === "" ? [] : [line];
  }
}

function clean(line: string): string {
  return stripVTControlCharacters(line).replaceAll(CONTROL, "").trimEnd();
}
