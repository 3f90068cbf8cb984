// Numbers, times and states as people read them in a table.
import { formatDuration, formatRoughly } from "../lib/units.ts";

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

/** In words that a user knows; the other states are told by their own. */
const WORDS: Readonly<Record<string, string>> = { dozing: "falling asleep", waking: "waking up" };

/** How many GPUs it has, and which share of each where others may have the rest: "1 × 0.4". */
export function formatGpus({
  gpus,
  gpuShare,
}: {
  readonly gpus: readonly string[];
  readonly gpuShare?: number | undefined;
}): string {
  if (gpus.length === 0) return "";
  return gpuShare === undefined ? String(gpus.length) : `${gpus.length} × ${gpuShare}`;
}

/** What becomes of one that nobody uses, and when: "sleeps in 4m 10s", else the time until it is unloaded. */
export function formatFate(
  fate: { readonly sleepsAt?: string | undefined; readonly idleUntil?: string | undefined },
  nowMs: number,
): string {
  if (fate.sleepsAt === undefined) return formatUntil(fate.idleUntil, nowMs);
  return `sleeps ${formatUntil(fate.sleepsAt, nowMs).replace(/^(?=\d)/, "in ")}`;
}

/** "ready", "loading (weights 62%, about 40 s left)", "sleeping", "waking up (about 3 s left)". */
export function formatState(name: string, reason = "", etaSeconds?: number): string {
  const state = WORDS[name] ?? name;
  if (state === "sleeping") return state;
  const news = newsOf(state, reason);
  const short = news.length > LONGEST_REASON ? `${news.slice(0, LONGEST_REASON - 1)}…` : news;
  const known = [short, formatLeft(reason, etaSeconds)].filter((text) => text !== "");
  return known.length === 0 ? state : `${state} (${known.join(", ")})`;
}

/** What a reason says beyond the state: "weights 62%" of "loading weights 62%", nothing of "loading the model". */
export function newsOf(state: string, reason: string): string {
  if (reason === state || reason === `${state} the model`) return "";
  return reason.startsWith(`${state} `) ? reason.slice(state.length + 1) : reason;
}

/** "about 40 s left"; empty where nobody knows, or where the reason says it already. */
export function formatLeft(reason: string, etaSeconds: number | undefined): string {
  if (etaSeconds === undefined || etaSeconds <= 0 || / left\b/.test(reason)) return "";
  return `about ${formatRoughly(etaSeconds * 1000)} left`;
}

/** Elapsed or remaining time without the milliseconds that nobody wants in a table. */
export function formatSeconds(ms: number): string {
  return ms < 1000 ? "0 s" : formatDuration(Math.floor(ms / 1000) * 1000);
}
