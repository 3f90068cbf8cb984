// What has to go so that a replica fits: pure.
import { formatDuration } from "../../lib/units.ts";
import { isStarting } from "../replica.ts";
import type { Demand, ReplicaSnapshot } from "../snapshot.ts";
import type { Ledger, Placement, Survey } from "./ledger.ts";
import { expectedAt, isIdle, yieldsAt, type Contract } from "./residency.ts";
import type { Need, Seat } from "./seats.ts";
import { cheapest, type Group } from "./victims.ts";

export type Room =
  /** Enough is on its way back, from these. */
  | { readonly kind: "coming"; readonly names: readonly string[] }
  /** These have to go; those that are busy finish what they have. */
  | { readonly kind: "make"; readonly victims: readonly ReplicaSnapshot[] }
  /**
   * Not before `lookAt`, and about `until`, as far as these are known; `resident`: somebody who is not busy has not had them for
   * long.
   */
  | {
      readonly kind: "wait";
      readonly why: "resident" | "busy";
      readonly until: number | undefined;
      readonly lookAt: number;
    }
  /** Too many GPUs belong to these, which are kept. */
  | { readonly kind: "kept"; readonly names: readonly string[] };

export interface Occupancy {
  readonly ledger: Ledger;
  readonly now: number;
  readonly contract: Contract;
  /** Whether it may never be sent away to make room. */
  isKept(replica: ReplicaSnapshot): boolean;
  costOf(replica: ReplicaSnapshot): number;
}

export function makeRoom(placement: Placement, demand: Demand, occupancy: Occupancy): Room {
  const { ledger } = occupancy;
  const need = ledger.needOf(placement);
  const survey = ledger.survey(placement, need);
  const missing = need.count - survey.free.length - survey.coming.length;
  if (missing <= 0) return { kind: "coming", names: sourcesOf(survey, ledger) };
  const known = answers.get(survey)?.find(({ count, to }) => count === need.count && isAsUrgent(to, demand));
  if (known !== undefined) return known.room;
  const room = seekRoom(survey, need, demand, occupancy);
  const answer = { count: need.count, to: demand, room };
  if (room.kind === "wait" || room.kind === "kept") answers.set(survey, [...(answers.get(survey) ?? []), answer]);
  return room;
}

/** Answers that hold as long as nothing is decided; for those who came later too, for whom nobody gives way sooner. */
const answers = new WeakMap<Survey, readonly { readonly count: number; readonly to: Demand; readonly room: Room }[]>();

function isAsUrgent(other: Demand, demand: Demand): boolean {
  return other.kind === demand.kind && other.why === demand.why && other.since <= demand.since;
}

function seekRoom(survey: Survey, need: Need, demand: Demand, occupancy: Occupancy): Room {
  const { now } = occupancy;
  const missing = need.count - survey.free.length - survey.coming.length;
  const groups = whoHasToGo(survey, need, occupancy);
  const [kept, open] = split(groups, ({ occupants }) => occupants.some((one) => occupancy.isKept(one)));
  if (survey.seats.length - gainOf(kept) < need.count) return { kind: "kept", names: namesOf(kept) };
  const when = new Map(open.map((group) => [group, latest(group, demand, occupancy, yieldsAt)]));
  const ripe = open.filter((group) => (when.get(group) ?? Infinity) <= now);
  const quiet = ripe.filter(({ occupants }) => !occupants.some(isBusy));
  const cost = (replica: ReplicaSnapshot) => occupancy.costOf(replica);
  const victims = cheapest(quiet, missing, cost) ?? cheapest(ripe, missing, cost);
  if (victims !== undefined) return { kind: "make", victims };
  const expected = new Map(open.map((group) => [group, latest(group, demand, occupancy, expectedAt)]));
  const until = whenEnough(expected, missing);
  const isTold = until > now && until < Infinity;
  const why = open.some(({ occupants }) => occupants.every(isIdle)) ? "resident" : "busy";
  return { kind: "wait", why, until: isTold ? until : undefined, lookAt: whenEnough(when, missing) };
}

function isBusy(replica: ReplicaSnapshot): boolean {
  return replica.state === "ready" && !isIdle(replica);
}

/** When the last of them has to go. */
function latest(
  { occupants }: Group,
  demand: Demand,
  { ledger, contract }: Occupancy,
  when: typeof yieldsAt | typeof expectedAt,
): number {
  // What is freed beside an engine that is just measuring its memory would confuse it.
  if (occupants.some((replica) => ledger.isBesideLoad(replica))) return Infinity;
  return Math.max(...occupants.map((replica) => when(replica, demand, contract)));
}

/** When so many GPUs are given back that it suffices. */
function whenEnough(when: ReadonlyMap<Group, number>, missing: number): number {
  let gained = 0;
  for (const [group, at] of [...when].sort(([, a], [, b]) => a - b)) {
    gained += group.gain;
    if (gained >= missing) return at;
  }
  return Infinity;
}

/** Who has to go from each GPU; the GPUs that one replica has alone are given back together. */
function whoHasToGo({ taken }: Survey, need: Need, occupancy: Occupancy): readonly Group[] {
  const alone = new Map<ReplicaSnapshot, number>();
  const shared: Group[] = [];
  for (const seat of taken) {
    const occupants = occupantsOf(seat, need, occupancy);
    const [only, ...others] = occupants;
    if (only === undefined) continue;
    if (others.length === 0) alone.set(only, (alone.get(only) ?? 0) + 1);
    else shared.push({ occupants, gain: 1 });
  }
  return [...[...alone].map(([replica, gain]) => ({ occupants: [replica], gain })), ...shared];
}

/** The cheapest of those on it that make it fit by going; those who are kept come last. */
function occupantsOf(seat: Seat, need: Need, occupancy: Occupancy): readonly ReplicaSnapshot[] {
  const { ledger } = occupancy;
  const staying = seat.holders.filter((replica) => replica !== need.waking && !ledger.isLeaving(replica));
  if (staying.length < 2) return staying;
  const price = (replica: ReplicaSnapshot) => (occupancy.isKept(replica) ? Infinity : occupancy.costOf(replica));
  const gone = new Set<ReplicaSnapshot>();
  for (const replica of staying.toSorted((a, b) => price(a) - price(b))) {
    gone.add(replica);
    if (seat.willFit(need, (one) => !gone.has(one) && !ledger.isLeaving(one))) break;
  }
  return [...gone];
}

/** From whom, or from what, the GPUs come that are on their way back. */
function sourcesOf({ coming }: Survey, ledger: Ledger): readonly string[] {
  const names = coming.flatMap(({ holders, gpu, block }) =>
    block !== undefined
      ? [`the memory of GPU ${gpu.id}`]
      : holders.filter((one) => ledger.isLeaving(one) || isStarting(one.state)).map(({ name }) => name),
  );
  return [...new Set(names)];
}

function gainOf(groups: readonly Group[]): number {
  return groups.reduce((sum, { gain }) => sum + gain, 0);
}

function namesOf(groups: readonly Group[]): readonly string[] {
  return [...new Set(groups.flatMap(({ occupants }) => occupants.map(({ name }) => name)))];
}

function split<T>(items: readonly T[], belongs: (item: T) => boolean): [yes: T[], no: T[]] {
  return [items.filter(belongs), items.filter((item) => !belongs(item))];
}

/** Why they have to go, in words. */
export function reasonToGo(victim: ReplicaSnapshot, model: string, now: number): string {
  if (isStarting(victim.state)) return `nobody waits for it any more; its GPUs are needed for ${model}`;
  if (!isIdle(victim)) return `it finishes what it has; ${model} has waited long for its GPUs`;
  return `idle for ${formatDuration(now - victim.idleSince)}; its GPUs are needed for ${model}`;
}
