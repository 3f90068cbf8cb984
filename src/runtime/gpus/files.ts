// The kernel's small files, read so that nothing in them can harm: what cannot be read is absent, what is no number is no NaN.
import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** Trimmed; undefined where it cannot be read, which an unplugged or failed device makes happen at any time. */
export async function readText(folder: string, file: string): Promise<string | undefined> {
  return readFile(join(folder, file), "utf8").then(
    (text) => text.trim(),
    () => undefined,
  );
}

/** A whole number from 0 that a double holds exactly; undefined for anything else. */
export function parseCount(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d+$/.test(text)) return undefined;
  const count = Number(text);
  return Number.isSafeInteger(count) ? count : undefined;
}

/** "renderD128" → 128 */
export function parseRenderMinor(name: string | undefined): number | undefined {
  return parseCount(/^renderD(\d+)$/.exec(name ?? "")?.[1]);
}
