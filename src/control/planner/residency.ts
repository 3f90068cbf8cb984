// When a replica has to make room for another model: pure. The contract against thrashing.
//
//   not used   nothing in flight, nobody waits: it goes after a moment, unless it is likely to be asked for again before it could
//              be back. Then it goes when it was not asked for as long as its load takes; in any case when it has had its GPUs
//              for its residency
//   in use     it finishes what it has and takes no more once somebody has waited for `maxWait`, unless it has just come
//   loading    it goes when nobody has waited for it for a while
//
// A residency is eight loads at most: then a ninth of the time is spent on loading, however two models alternate. Where more
// of them wait, they share it: else the last of them would wait for the sum of the others' residencies.
import { isStarting } from "../replica.ts";
import type { Demand, ReplicaSnapshot, SchedulingPolicy } from "../snapshot.ts";

/** What decides how long anybody keeps his GPUs. */
export interface Contract {
  readonly policy: SchedulingPolicy;
  /** Models that wait for GPUs. */
  readonly rivals: number;
}

/** Loads that a residency is worth. */
const LOADS = 8;
/** Before a load that nobody waits for counts as unwanted: whose client gave up may ask again at once, as SDKs do. */
const ABANDONED_MS = 15_000;
/** What programs, and people in a hurry, leave between an answer and their next question; little beside a load. */
const PAUSE_MS = 5_000;
const PAUSE_SHARE = 1 / 6;
const MINUTE_MS = 60_000;
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

/** How long it keeps its GPUs while it is used now and then; at least for as long as its load takes. */
function residencyMs(replica: ReplicaSnapshot, { policy, rivals }: Contract): number {
  const whole = Math.min(policy.minResidencyMs, LOADS * returnMs(replica));
  return Math.max(leastMs(replica, policy), whole / Math.max(1, rivals));
}

/** It must have been of some use. */
function leastMs(replica: ReplicaSnapshot, { minResidencyMs }: SchedulingPolicy): number {
  return Math.min(minResidencyMs, returnMs(replica));
}

/** At which time it has to go for the demand; Infinity: not as long as it is in use. */
export function yieldsAt(replica: ReplicaSnapshot, demand: Demand, contract: Contract): number {
  const { state, idleSince, waiting, readyAt, stateSince } = replica;
  if (isStarting(state)) {
    return contract.policy.abortsUnwanted && waiting === 0 && demand.kind !== "wanted" && !replica.launched
      ? idleSince + ABANDONED_MS
      : Infinity;
  }
  if (isIdle(replica)) {
    if (state === "sleeping" || demand.kind === "order") return -Infinity;
    const quietMs = isInDemand(replica) ? leastMs(replica, contract.policy) : pauseMs(replica);
    const unusedAt = Math.max(idleSince, stateSince) + quietMs;
    const residentUntil = readyAt + residencyMs(replica, contract);
    return Math.min(residentUntil, unusedAt, patienceEnds(replica, demand, contract.policy));
  }
  return state === "ready" ? patienceEnds(replica, demand, contract.policy) : Infinity;
}

/** When it has to go if it goes on being used as it was lately: that it is not used for a while can be promised to nobody. */
export function expectedAt(replica: ReplicaSnapshot, demand: Demand, contract: Contract): number {
  const { state, stateSince, loadMs } = replica;
  if (state === "ready" && isIdle(replica) && isInDemand(replica)) return goesAt(replica, demand, contract);
  const at = yieldsAt(replica, demand, contract);
  if (at < Infinity || !isStarting(state)) return at;
  return goesAt({ ...replica, readyAt: stateSince + loadMs }, demand, contract);
}

function goesAt(replica: ReplicaSnapshot, demand: Demand, contract: Contract): number {
  const isKept = demand.kind !== "order" && isInDemand(replica);
  const servedAt = replica.readyAt + (isKept ? residencyMs(replica, contract) : 0);
  return Math.min(servedAt, patienceEnds(replica, demand, contract.policy));
}

/** Whether it would be asked for, as often as it was lately, while it is being brought back. */
function isInDemand(replica: ReplicaSnapshot): boolean {
  return (replica.heat * returnMs(replica)) / MINUTE_MS >= 1;
}

/** Whoever has just got an answer may be about to ask again: how often he would is not to be seen before he could. */
function pauseMs(replica: ReplicaSnapshot): number {
  return Math.min(PAUSE_MS, returnMs(replica) * PAUSE_SHARE);
}

/** Who has come a moment ago stays for as long as its load took. */
function patienceEnds(replica: ReplicaSnapshot, demand: Demand, policy: SchedulingPolicy): number {
  if (demand.kind !== "requests" || demand.why === "scale out") return Infinity;
  return Math.max(demand.since + policy.maxWaitMs, replica.readyAt + leastMs(replica, policy));
}

/** What it costs to send it away: the time of its load, as often as it is likely to be asked for. */
export function costOf(replica: ReplicaSnapshot, liveOfModel: number): number {
  const use = (replica.heat + LEAST_HEAT) / Math.max(1, liveOfModel);
  return (returnMs(replica) / 1000) * use + (isIdle(replica) ? replica.idleSince : replica.readyAt) * LATER;
}

/** Nobody is sure never to be asked for again: once in three hours, say. */
const LEAST_HEAT = 0.005;
/** Among equals, who was used last costs more, and of the busy who came last; too little to decide anything else. */
const LATER = 1e-12;
