// Numbers, times and states as people read them in a table.
import { formatDuration } from "../lib/units.ts";

export { formatSize } from "../lib/units.ts";

const LONGEST_REASON = 60;

/** Time since `from`; another machine's clock may be ahead of ours, which is not a negative age. */
export function formatAge(from: string, nowMs: number): string {
  const startedAt = Date.parse(from);
  return Number.isNaN(startedAt) ? "" : formatSeconds(nowMs - startedAt);
}

/** Time until `to`, "forever" as it is, "now" when it has come; empty when there is no such time. */
export function formatUntil(to: string | undefined, nowMs: number): string {
  if (to === undefined || to === "forever") return to ?? "";
  const dueAt = Date.parse(to);
  if (Number.isNaN(dueAt)) return "";
  return dueAt <= nowMs ? "now" : formatSeconds(dueAt - nowMs);
}

/** "ready", "loading (weights 62%)". */
export function formatState(state: string, reason: string | undefined): string {
  if (state === "ready" || !reason || reason === state) return state;
  const short = reason.length > LONGEST_REASON ? `${reason.slice(0, LONGEST_REASON - 1)}…` : reason;
  return `${state} (${short})`;
}

/** Elapsed or remaining time without the milliseconds that nobody wants in a table. */
export function formatSeconds(ms: number): string {
  return ms < 1000 ? "0 s" : formatDuration(Math.floor(ms / 1000) * 1000);
}
