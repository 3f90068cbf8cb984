// What the order of those who wait is made from.
import type { Priority, RequestTraits } from "./lease.ts";

/** A request that waits. */
export interface Queued {
  readonly since: number;
  readonly request: RequestTraits;
}

/** By how much each class overtakes: bounded, so whoever waits long enough comes before all that are newer. */
const CREDIT_MS: Readonly<Record<Priority, number>> = { high: 60_000, normal: 0, low: -60_000 };

/** The lower, the sooner. */
export function rankOf({ since, request }: Queued): number {
  return since - CREDIT_MS[request.priority ?? "normal"];
}

/** Requests without a client (there are no keys) are all one client's. */
export function clientOf({ request }: Queued): string {
  return request.client ?? "";
}

/** Whether a replica may be started or woken for it. */
export function mayStart({ request }: Queued): boolean {
  return request.mayStart ?? true;
}
