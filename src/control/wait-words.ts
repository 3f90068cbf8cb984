// What those are told who wait for something that does not come up yet: what it is, for how long, and what comes after it. Pure.
import { formatRoughly } from "../lib/units.ts";
import type { Hold, HoldReason } from "./planner/why.ts";

/** What brings the model up when the wait is over. */
export interface Then {
  readonly doing: "loading" | "waking";
  /** How long that usually takes; absent: not known. */
  readonly ms?: number | undefined;
}

/** What happens when a wait of the kind is over. */
const ENDS: Readonly<Record<HoldReason, string>> = {
  surveying: "that is known",
  starting: "it starts",
  limit: "it may start",
  "making room": "there is room",
  coming: "there is room",
  resident: "one gives way",
  busy: "one gives way",
  asleep: "it starts",
  "backing off": "tried again",
};

/** "all 8 MI300X (8 held by big-1) are busy; one gives way in about 3m, then loading takes about 1m" */
export function describeHold({ why, text, until }: Hold, now: number, { doing, ms }: Then): string {
  const end = until !== undefined && until > now ? `${ENDS[why]} in about ${formatRoughly(until - now)}` : "";
  const then = ms === undefined ? "" : `then ${doing} takes about ${formatRoughly(ms)}`;
  const both = [end, then].filter((part) => part !== "").join(", ");
  return both === "" ? text : `${text}; ${both}`;
}

/** Until it serves; undefined where one of the two is not known. */
export function holdLeftMs({ until }: Hold, now: number, { ms }: Then): number | undefined {
  // A wait whose end is not known may end at any moment: what comes after it is the least.
  return ms === undefined ? undefined : Math.max(0, (until ?? now) - now) + ms;
}
