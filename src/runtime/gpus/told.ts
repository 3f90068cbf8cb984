// What the vendors' command line tools tell of one GPU. Their output changes between versions, so all but the address may be absent.

export interface ToldGpu {
  /** "0000:c1:00.0" */
  readonly address: string;
  readonly name?: string;
  readonly memoryBytes?: number;
  readonly usedBytes?: number;
  readonly renderMinor?: number;
  /** "GPU-5e1c…" */
  readonly uuid?: string;
}

const UNITS: Readonly<Record<string, number>> = { B: 1, KB: 2 ** 10, MB: 2 ** 20, GB: 2 ** 30 };

/**
 * Bytes of an amount that may be {"value": 5, "unit": "MB"}, 5, "5", "5 MB" or "N/A"; the units are binary whatever they are
 * called, and `unit` is meant where none is given.
 */
export function bytesOf(amount: unknown, unit: string): number | undefined {
  if (isRecord(amount)) return bytesOf(amount["value"], typeof amount["unit"] === "string" ? amount["unit"] : unit);
  if (typeof amount !== "number" && typeof amount !== "string") return undefined;
  const [, digits, named = unit] = /^(\d+(?:\.\d+)?)\s*([KMG]?i?B)?$/i.exec(String(amount).trim()) ?? [];
  const factor = UNITS[named.toUpperCase().replace("I", "")];
  if (digits === undefined || factor === undefined) return undefined;
  const bytes = Math.round(Number(digits) * factor);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** The JSON within an output that may have warnings around it; undefined when there is none. */
export function jsonIn(output: string): unknown {
  // Warnings have brackets of their own ("[WARN]"), though never many.
  const starts = [...output.matchAll(/[[{]/g)].slice(0, 20);
  for (const { 0: opening, index } of starts) {
    const end = output.lastIndexOf(opening === "[" ? "]" : "}");
    try {
      return JSON.parse(output.slice(index, end + 1));
    } catch {
      continue; // No JSON begins here.
    }
  }
  return undefined;
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
