// A log line as a terminal would show it.
import { stripVTControlCharacters } from "node:util";

/** Without colours, and of a line that a progress bar overwrote only what stayed on the screen. */
export function visibleText(line: string): string {
  const segments = stripVTControlCharacters(line).split("\r");
  return segments.findLast((segment) => segment.trim() !== "") ?? "";
}
