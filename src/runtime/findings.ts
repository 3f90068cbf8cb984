// Writing down what an examination found, in the words of `Check`, and reading the small files it looks at.
import { readFile } from "node:fs/promises";
import { isAimError, messageOf } from "../errors.ts";
import type { Check } from "./driver.ts";

export function ok(name: string, found: string): Check {
  return { name, status: "ok", found };
}

/** Works, but worse than it could, or not for ever. */
export function warning(name: string, found: string, fix: string): Check {
  return { name, status: "warning", found, fix };
}

/** Something that is asked of this machine will not work. */
export function problem(name: string, found: string, fix: string): Check {
  return { name, status: "problem", found, fix };
}

/** Our error messages say what happened, then "; " and what to do. */
export function problemOf(name: string, error: unknown, fallbackFix: string): Check {
  const message = isAimError(error) ? error.message : messageOf(error);
  const [found = "", ...fixes] = message.split("; ");
  return problem(name, found, fixes.length === 0 ? fallbackFix : fixes.join("; "));
}

/** Undefined where there is no such file, or none that we may read. */
export async function textOf(path: string): Promise<string | undefined> {
  return readFile(path, "utf8").then(
    (text) => text.trim(),
    () => undefined,
  );
}

/** One line of a process's `limits` file: "Max open files". Infinity for "unlimited"; undefined where it cannot be read. */
export async function softLimit(limitsFile: string, name: string): Promise<number | undefined> {
  const line = (await textOf(limitsFile))?.split("\n").find((one) => one.startsWith(name));
  const soft = line?.slice(name.length).trim().split(/\s+/)[0];
  if (soft === undefined) return undefined;
  return soft === "unlimited" ? Infinity : Number(soft);
}
