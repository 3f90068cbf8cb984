// How arguments of the command line are read: each refusal says what is expected.
import { InvalidArgumentError } from "commander";
import { parseDuration } from "../lib/units.ts";

export function wholeNumber(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Expected a whole number.");
}

export function atLeastOne(text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Expected a whole number, 1 or more.");
}

/** Checked here, understood by the gateway. */
export function durationText(text: string): string {
  if (parseDuration(text) !== undefined) return text;
  throw new InvalidArgumentError('Expected a duration such as "90s", "30m" or "forever".');
}

/** How long to stay, in ms; plain numbers are seconds, as `docker stop -t 30` has taught. */
export function patience(text: string): number {
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : parseDuration(text);
  if (ms !== undefined) return ms;
  throw new InvalidArgumentError('Expected a duration such as "90s" or "30m", or a number of seconds.');
}

/** "0,1": numbers or addresses of GPUs. */
export function gpuList(text: string): readonly string[] {
  const ids = text.split(",").map((id) => id.trim());
  if (ids.every((id) => id !== "")) return ids;
  throw new InvalidArgumentError('Expected GPUs such as "0,1" or "0000:c1:00.0".');
}
