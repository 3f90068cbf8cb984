// When a replica has to make room for another model: pure. The contract against thrashing.
//
//   not used   nothing in flight, nobody waits: it goes when it has had its GPUs for its residency, or has not been used for
//              as long as its load takes. To have kept it longer would have cost more than to load it again.
//   in use     it finishes what it has and takes no more once somebody has waited for `maxWait`, unless it has just come
//   loading    it goes when nobody has waited for it for a while
//
// A residency is five loads at most: then no more than a sixth of the time is spent on loading, however models alternate.
import { isStarting } from "../replica.ts";
import type { Demand, ReplicaSnapshot, SchedulingPolicy } from "../snapshot.ts";

/** Loads that a residency is worth. */
const LOADS = 5;
/** Before a load that nobody waits for counts as unwanted: whose client gave up may ask again at once, as SDKs do. */
const ABANDONED_MS = 15_000;
/** What it takes to sleep and to wake again, which is little beside any load. */
const NAP_MS = 5_000;

/** Nothing in flight and nobody waiting. */
export function isIdle({ state, inFlight, waiting }: ReplicaSnapshot): boolean {
  return (state === "ready" || state === "sleeping") && inFlight === 0 && waiting === 0;
}

/** What it takes to have it back where it is. */
export function returnMs({ sleep, loadMs }: ReplicaSnapshot): number {
  return sleep === undefined ? loadMs : Math.min(NAP_MS, loadMs);
}

/** How long it keeps its GPUs while it is used. */
export function residencyMs(replica: ReplicaSnapshot, { minResidencyMs }: SchedulingPolicy): number {
  return Math.min(minResidencyMs, LOADS * returnMs(replica));
}

/** At which time it has to go for the demand; Infinity: not as long as it is in use. */
export function yieldsAt(replica: ReplicaSnapshot, demand: Demand, policy: SchedulingPolicy): number {
  const { state, idleSince, waiting, readyAt, stateSince } = replica;
  if (isStarting(state)) {
    return policy.abortsUnwanted && waiting === 0 && demand.kind !== "wanted" && !replica.launched
      ? idleSince + ABANDONED_MS
      : Infinity;
  }
  if (isIdle(replica)) {
    if (state === "sleeping" || demand.kind === "order") return -Infinity;
    const residency = residencyMs(replica, policy);
    const unusedAt = Math.max(idleSince, stateSince) + Math.min(returnMs(replica), residency);
    return Math.min(readyAt + residency, unusedAt, patienceEnds(replica, demand, policy));
  }
  return state === "ready" ? patienceEnds(replica, demand, policy) : Infinity;
}

/** It must have been of some use: who has come a moment ago stays for as long as its load took. */
function patienceEnds(replica: ReplicaSnapshot, demand: Demand, policy: SchedulingPolicy): number {
  if (demand.kind !== "requests" || demand.why === "scale out") return Infinity;
  const earliest = replica.readyAt + Math.min(returnMs(replica), residencyMs(replica, policy));
  return Math.max(demand.since + policy.maxWaitMs, earliest);
}

/** What it costs to send it away: the time of its load, as often as it is likely to be asked for. */
export function costOf(replica: ReplicaSnapshot, liveOfModel: number): number {
  const use = (replica.heat + LEAST_HEAT) / Math.max(1, liveOfModel);
  return (returnMs(replica) / 1000) * use + (isIdle(replica) ? replica.idleSince : replica.readyAt) * LATER;
}

/** Nobody is sure never to be asked for again. */
const LEAST_HEAT = 0.05;
/** Among equals, who was used last costs more, and of the busy who came last; too little to decide anything else. */
const LATER = 1e-12;
