// Times of log lines: RFC 3339 with nanoseconds, which is more than a number or a Date can hold.
import { AimError } from "../errors.ts";

const TIME = /^(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d\d:\d\d)$/;

/** Nanoseconds since the Unix epoch; undefined when it is no time. */
export function nanosOf(time: string): bigint | undefined {
  const [, seconds, fraction = "", zone = ""] = TIME.exec(time) ?? [];
  const ms = Date.parse(`${seconds}${zone}`);
  return Number.isNaN(ms) ? undefined : BigInt(ms) * 1_000_000n + BigInt(fraction.padEnd(9, "0"));
}

/** Throws `invalid_value` when `since` is no time. */
export function sinceNanos(since: string | undefined): bigint | undefined {
  if (since === undefined) return undefined;
  const nanos = nanosOf(since);
  if (nanos !== undefined) return nanos;
  throw new AimError("invalid_value", `"${since}" is no time; write it as 2026-01-31T08:00:00Z`, { param: "since" });
}

/** Whether it was written after `since`; one without a time may have been, and so counts. */
export function isAfter(line: { readonly time?: string }, since: bigint | undefined): boolean {
  const nanos = line.time === undefined ? undefined : nanosOf(line.time);
  return since === undefined || nanos === undefined || nanos > since;
}
