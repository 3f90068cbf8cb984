// What has to go so that a replica fits: pure.
import { split } from "../../lib/split.ts";
import { formatDuration } from "../../lib/units.ts";
import { isStarting } from "../replica.ts";
import type { Demand, ReplicaSnapshot } from "../snapshot.ts";
import type { Ledger, Placement, Survey } from "./ledger.ts";
import { isBusy, whoHasToGo, withoutSpare, type Occupancy, type Search } from "./occupants.ts";
import { expectedAt, isIdle, yieldsAt } from "./residency.ts";
import { cheapest, type Group } from "./victims.ts";

export type Room =
  /** Enough is on its way back, from these; not to be relied on after `lookAt`. */
  | { readonly kind: "coming"; readonly names: readonly string[]; readonly lookAt: number }
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

/** On the GPUs of the kind that is had the easiest way. */
export function makeRoom(placement: Placement, demand: Demand, given: Occupancy): Room {
  const { ledger } = given;
  const own = addsTo(demand);
  const occupancy = { ...given, isKept: (one: ReplicaSnapshot) => one.model === own || given.isKept(one) };
  const need = ledger.needOf(placement);
  const rooms = ledger.surveys(placement, need).map((survey) => roomIn({ survey, need, demand, occupancy }));
  return rooms.reduce<Room>((best, room) => (isEasier(room, best) ? room : best), { kind: "kept", names: [] });
}

const EASIEST_FIRST: readonly Room["kind"][] = ["coming", "make", "wait", "kept"];

function isEasier(room: Room, other: Room): boolean {
  if (room.kind === "kept" && other.kind === "kept") return other.names.length === 0;
  if (room.kind === "wait" && other.kind === "wait") return room.lookAt < other.lookAt;
  return EASIEST_FIRST.indexOf(room.kind) < EASIEST_FIRST.indexOf(other.kind);
}

function roomIn(search: Search): Room {
  const { survey, need, demand, occupancy } = search;
  if (missingOf(search) <= 0) return coming(survey, occupancy.ledger);
  const known = answers.get(survey)?.find(({ count, to }) => count === need.count && isAsUrgent(to, demand));
  if (known !== undefined) return known.room;
  const room = seekRoom(search);
  const answer = { count: need.count, to: demand, room };
  if (room.kind === "wait" || room.kind === "kept") answers.set(survey, [...(answers.get(survey) ?? []), answer]);
  return room;
}

function missingOf({ need, survey }: Search): number {
  return need.count - survey.free.length - survey.coming.length;
}

/** Answers that hold as long as nothing is decided; for those who came later too, for whom nobody gives way sooner. */
const answers = new WeakMap<Survey, readonly { readonly count: number; readonly to: Demand; readonly room: Room }[]>();

function isAsUrgent(other: Demand, demand: Demand): boolean {
  const isAlike = other.kind === demand.kind && other.why === demand.why && addsTo(other) === addsTo(demand);
  return isAlike && other.since <= demand.since;
}

/** The model that there are to be more replicas of: none of those there is taken for another one. */
function addsTo({ why, wish, request }: Demand): string | undefined {
  return why === "scale out" || wish?.atLeast !== undefined ? request.model : undefined;
}

function seekRoom(search: Search): Room {
  const { survey, need, demand, occupancy } = search;
  const { now } = occupancy;
  const missing = missingOf(search);
  const groups = whoHasToGo(search);
  const [kept, open] = split(groups, ({ occupants }) => occupants.some((one) => occupancy.isKept(one)));
  if (survey.seats.length - gainOf(kept) < need.count) return { kind: "kept", names: namesOf(kept) };
  const when = new Map(open.map((group) => [group, latest(group, demand, occupancy, yieldsAt)]));
  const ripe = open.filter((group) => (when.get(group) ?? Infinity) <= now);
  const quiet = ripe.filter(({ occupants }) => !occupants.some(isBusy));
  const cost = (replica: ReplicaSnapshot) => occupancy.costOf(replica);
  const victims = cheapest(quiet, missing, cost) ?? cheapest(ripe, missing, cost);
  if (victims !== undefined) return { kind: "make", victims: withoutSpare(victims, search) };
  const expected = new Map(open.map((group) => [group, latest(group, demand, occupancy, expectedAt)]));
  const until = whenEnough(expected, missing);
  const isTold = until > now && until < Infinity;
  const why = open.some(({ occupants }) => occupants.every(isIdle)) ? "resident" : "busy";
  return { kind: "wait", why, until: isTold ? until : undefined, lookAt: whenEnough(when, missing) };
}

/** When the last of them has to go. */
function latest(
  { occupants }: Group,
  demand: Demand,
  { ledger, contract }: Occupancy,
  when: typeof yieldsAt | typeof expectedAt,
): number {
  // What is freed beside an engine that is just measuring its memory would confuse it.
  if (occupants.some((replica) => ledger.isBesideLoad(replica, occupants))) return Infinity;
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

/** From whom, or from what, the GPUs come that are on their way back. */
function coming({ coming: seats }: Survey, ledger: Ledger): Room {
  const isAwaited = (one: ReplicaSnapshot) => ledger.isLeaving(one) || isStarting(one.state) || one.state === "waking";
  const sources = seats.flatMap(({ holders, block }) => (block === undefined ? holders.filter(isAwaited) : []));
  const names = seats.flatMap(({ holders, gpu, block }) =>
    block === undefined ? holders.filter(isAwaited).map(({ name }) => name) : [`the memory of GPU ${gpu.id}`],
  );
  const lookAt = Math.min(Infinity, ...sources.map((one) => ledger.isWaitedForUntil(one)));
  return { kind: "coming", names: [...new Set(names)], lookAt };
}

function gainOf(groups: readonly Group[]): number {
  return groups.reduce((sum, { gain }) => sum + gain, 0);
}

function namesOf(groups: readonly Group[]): readonly string[] {
  return [...new Set(groups.flatMap(({ occupants }) => occupants.map(({ name }) => name)))];
}

/** Why they have to go, in words. */
export function reasonToGo(victim: ReplicaSnapshot, model: string, now: number): string {
  if (isStarting(victim.state)) return `nobody waits for it any more; its GPUs are needed for ${model}`;
  if (!isIdle(victim)) return `it finishes what it has; ${model} has waited long for its GPUs`;
  return `idle for ${formatDuration(now - victim.idleSince)}; its GPUs are needed for ${model}`;
}
