// Durations ("30s", "5m", "1h30m", "never", "forever") and sizes ("64g", "512m") as people write them in YAML.

const DURATION_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const SIZE_NAMES = ["B", "KiB", "MiB", "GiB", "TiB"] as const;
const SIZE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
};

/** Milliseconds; `Infinity` for "forever" and "never"; undefined when the text is no duration. */
export function parseDuration(text: string): number | undefined {
  if (text === "forever" || text === "never") return Infinity;
  if (text === "0") return 0;
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    total += Number(amount) * (DURATION_UNITS[unit ?? ""] ?? 0);
  }
  return total;
}

/** Bytes; undefined when the text is no size. Units are binary (1k = 1024), as with `docker run --memory`. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([kmgt]?)(?:i?b)?$/i.exec(text);
  if (match === null) return undefined;
  return Math.round(Number(match[1]) * (SIZE_UNITS[(match[2] ?? "").toLowerCase()] ?? 1));
}

/** "850 ms", "12 s", "4m 10s", "2h 5m"; "forever" for Infinity. */
export function formatDuration(ms: number): string {
  if (ms === Infinity) return "forever";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return seconds % 60 === 0 ? `${minutes}m` : `${minutes}m ${seconds % 60}s`;
  const hours = Math.floor(minutes / 60);
  return minutes % 60 === 0 ? `${hours}h` : `${hours}h ${minutes % 60}m`;
}

/** "40 s", "4m 10s", "12m": an estimate that is told to the second is believed to the second; only the last few may be counted. */
export function formatRoughly(ms: number): string {
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  const step = seconds <= 10 ? 1 : seconds < 60 ? 5 : seconds < 600 ? 10 : 60;
  return formatDuration(Math.ceil(seconds / step) * step * 1000);
}

/** "192 GiB", "1.5 GiB", "512 MiB" */
export function formatSize(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(SIZE_NAMES.length - 1, Math.floor(Math.log2(bytes) / 10));
  const amount = bytes / 2 ** (10 * power);
  return `${amount < 10 ? Number(amount.toFixed(1)) : Math.round(amount)} ${SIZE_NAMES[power]}`;
}
