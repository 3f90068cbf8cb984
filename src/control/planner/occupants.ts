// Who would have to go from GPUs so that something fits there: pure.
import type { Demand, ReplicaSnapshot } from "../snapshot.ts";
import type { Ledger, Survey } from "./ledger.ts";
import { isIdle, yieldsAt, type Contract } from "./residency.ts";
import type { Need, Seat } from "./seats.ts";
import type { Group } from "./victims.ts";

/** What the room for a demand is judged by. */
export interface Occupancy {
  readonly ledger: Ledger;
  readonly now: number;
  readonly contract: Contract;
  /** Whether it may never be sent away to make room. */
  isKept(replica: ReplicaSnapshot): boolean;
  costOf(replica: ReplicaSnapshot): number;
}

/** Room that is sought: for whom, and among which GPUs. */
export interface Search {
  readonly survey: Survey;
  readonly need: Need;
  readonly demand: Demand;
  readonly occupancy: Occupancy;
}

/** Who has to go from each GPU; the GPUs that one replica has alone are given back together. */
export function whoHasToGo(search: Search): readonly Group[] {
  const alone = new Map<ReplicaSnapshot, number>();
  const shared: Group[] = [];
  for (const seat of search.survey.taken) {
    const occupants = occupantsOf(seat, search);
    const [only, ...others] = occupants;
    if (only === undefined) continue;
    if (others.length === 0) alone.set(only, (alone.get(only) ?? 0) + 1);
    else shared.push({ occupants, gain: 1 });
  }
  return [...[...alone].map(([replica, gain]) => ({ occupants: [replica], gain })), ...shared];
}

/** Of those who are to go, the ones who can stay after all are left out, the dearest first. */
export function withoutSpare(victims: readonly ReplicaSnapshot[], search: Search): readonly ReplicaSnapshot[] {
  if (victims.length < 2) return victims;
  const { survey, need, occupancy } = search;
  const missing = need.count - survey.free.length - survey.coming.length;
  const going = new Set(victims);
  const isEnough = () => survey.taken.filter((seat) => fitsWithout(going, seat, search)).length >= missing;
  // A load that goes on is disturbed by what goes beside it.
  const isQuiet = () => !victims.some((one) => going.has(one) && occupancy.ledger.isBesideLoad(one, [...going]));
  for (const one of victims.toSorted((a, b) => occupancy.costOf(b) - occupancy.costOf(a))) {
    going.delete(one);
    if (!isEnough() || !isQuiet()) going.add(one);
  }
  return victims.filter((one) => going.has(one));
}

/** Those on it who make it fit by going, and no more of them than that takes; nobody where it is given out by this plan. */
function occupantsOf(seat: Seat, search: Search): readonly ReplicaSnapshot[] {
  const { need, occupancy } = search;
  const [only] = seat.holders;
  if (seat.holders.length === 1 && only !== undefined && only !== need.waking) {
    const isInTheWay = !occupancy.ledger.isLeaving(only) && !seat.isGiven && seat.willFit(need, nobody);
    return isInTheWay ? seat.holders : [];
  }
  const staying = seat.holders.filter((one) => one !== need.waking && !occupancy.ledger.isLeaving(one));
  const gone = new Set(staying);
  if (staying.length === 0 || seat.isGiven || !fitsWithout(gone, seat, search)) return [];
  if (staying.length === 1) return staying;
  for (const one of mostReluctantFirst(staying, search)) {
    gone.delete(one);
    if (!fitsWithout(gone, seat, search)) gone.add(one);
  }
  return [...gone];
}

function nobody(): boolean {
  return false;
}

function mostReluctantFirst(replicas: readonly ReplicaSnapshot[], search: Search): readonly ReplicaSnapshot[] {
  const { occupancy } = search;
  const ranks = new Map(replicas.map((one) => [one, reluctanceOf(one, search)]));
  const rank = (one: ReplicaSnapshot) => ranks.get(one) ?? 0;
  return replicas.toSorted((a, b) => rank(b) - rank(a) || occupancy.costOf(b) - occupancy.costOf(a));
}

/** Never, not yet, when it has finished, at once. */
function reluctanceOf(replica: ReplicaSnapshot, { demand, occupancy }: Search): number {
  if (occupancy.isKept(replica)) return 3;
  if (yieldsAt(replica, demand, occupancy.contract) > occupancy.now || occupancy.ledger.isBesideLoad(replica)) return 2;
  return isBusy(replica) ? 1 : 0;
}

export function isBusy(replica: ReplicaSnapshot): boolean {
  return replica.state === "ready" && !isIdle(replica);
}

function fitsWithout(gone: ReadonlySet<ReplicaSnapshot>, seat: Seat, { need, occupancy }: Search): boolean {
  return seat.willFit(need, (one) => !gone.has(one) && !occupancy.ledger.isLeaving(one));
}
