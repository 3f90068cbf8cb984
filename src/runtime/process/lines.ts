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
  #unfinished = "";

  push(chunk: Buffer): string[] {
    const [first = "", ...others] = this.#decoder.write(chunk).split(/[\r\n]/);
    const pieces = [bounded(this.#unfinished, first), ...others];
    this.#unfinished = bounded(pieces.pop() ?? "", "");
    return pieces.map(clean).filter((line) => line !== "");
  }

  /** The line that nothing ended, if there is one. */
  end(): string[] {
    const line = clean(bounded(this.#unfinished, this.#decoder.end()));
    this.#unfinished = "";
    return line === "" ? [] : [line];
  }
}

function bounded(start: string, rest: string): string {
  return (start + rest).slice(0, MAX_LINE_LENGTH);
}

function clean(line: string): string {
  return stripVTControlCharacters(line).replaceAll(CONTROL, "").trimEnd().slice(0, MAX_LINE_LENGTH);
}
