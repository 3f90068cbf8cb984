// What has to go so that a replica fits: pure. Idle replicas go first, the least recently used ones; busy ones only finish
// what they have, and only for requests that have been patient.
import { formatDuration } from "../../lib/units.ts";
import type { Ledger, Placement } from "./ledger.ts";
import type { Demand, ReplicaSnapshot } from "../snapshot.ts";

export type Room =
  /** These are on their way out and give back enough. */
  | { readonly kind: "coming"; readonly names: readonly string[] }
  /** These have to be stopped; those that are busy finish what they have. */
  | { readonly kind: "stop"; readonly victims: readonly ReplicaSnapshot[] }
  /** All in use; worth looking again then. Who has been patient keeps what becomes free. */
  | { readonly kind: "busy"; readonly until: number | undefined; readonly isPatient: boolean }
  /** Too many GPUs belong to these, which are kept. */
  | { readonly kind: "kept"; readonly names: readonly string[] };

export interface Occupants {
  readonly ledger: Ledger;
  readonly now: number;
  /** Those that hold GPUs and are not on their way out. */
  readonly replicas: readonly ReplicaSnapshot[];
  /** Whether it may never be stopped to make room. */
  isKept(replica: ReplicaSnapshot): boolean;
}

/** How long requests wait for a busy model, and how long that model may serve at least, before it has to give way. */
const PATIENCE_MS = 60_000;

export function makeRoom(placement: Placement, demand: Demand, occupants: Occupants): Room {
  const { ledger, replicas } = occupants;
  const holders = replicas.filter((replica) => ledger.gain(replica, placement) > 0);
  const kept = holders.filter((replica) => occupants.isKept(replica));
  if (ledger.short(placement, kept)) return { kind: "kept", names: kept.map(({ name }) => name) };
  const missing = ledger.missing(placement);
  const coming = ledger.coming(placement);
  if (coming.gpus.length >= missing) return { kind: "coming", names: coming.names };
  const wanted = missing - coming.gpus.length;
  const gain = (replica: ReplicaSnapshot) => ledger.gain(replica, placement);
  const ready = holders.filter((replica) => replica.state === "ready" && !kept.includes(replica));
  const idle = ready.filter(isIdle).sort((a, b) => a.idleSince - b.idleSince);
  const victims = enough(idle, wanted, gain);
  if (victims !== undefined) return { kind: "stop", victims };
  if (demand.kind === "order") return { kind: "busy", until: undefined, isPatient: false };
  const busy = ready.filter((replica) => !isIdle(replica)).sort((a, b) => dueAt(a) - dueAt(b));
  return giveWay([...idle, ...busy], wanted, { demand, now: occupants.now, gain });
}

/** Nothing in flight and nobody waiting. */
export function isIdle(replica: ReplicaSnapshot): boolean {
  return replica.state === "ready" && replica.inFlight === 0 && replica.waiting === 0;
}

/** Fairness: a model that is never idle must not keep another one out for ever. */
function giveWay(
  replicas: readonly ReplicaSnapshot[],
  wanted: number,
  {
    demand,
    now,
    gain,
  }: { readonly demand: Demand; readonly now: number; readonly gain: (replica: ReplicaSnapshot) => number },
): Room {
  const patientAt = demand.since + PATIENCE_MS;
  const isPatient = patientAt <= now;
  const all = enough(replicas, wanted, gain);
  if (all === undefined) return { kind: "busy", until: isPatient ? undefined : patientAt, isPatient };
  const victims = enough(
    replicas.filter((replica) => isIdle(replica) || dueAt(replica) <= now),
    wanted,
    gain,
  );
  if (victims !== undefined && isPatient) return { kind: "stop", victims };
  const due = all.filter((replica) => !isIdle(replica)).map(dueAt);
  return { kind: "busy", until: isPatient ? Math.max(...due) : patientAt, isPatient };
}

/** When a busy replica has served long enough to give way. */
function dueAt(replica: ReplicaSnapshot): number {
  return replica.readyAt + PATIENCE_MS;
}

/** The first ones that together give back enough, less those that turn out not to be needed. */
function enough(
  replicas: readonly ReplicaSnapshot[],
  wanted: number,
  gain: (replica: ReplicaSnapshot) => number,
): readonly ReplicaSnapshot[] | undefined {
  const chosen: ReplicaSnapshot[] = [];
  let gained = 0;
  for (const replica of replicas) {
    if (gained >= wanted) break;
    chosen.push(replica);
    gained += gain(replica);
  }
  if (gained < wanted) return undefined;
  return chosen.filter((replica) => {
    const without = gained - gain(replica);
    if (without < wanted) return true;
    gained = without;
    return false;
  });
}

/** Why they are stopped, in words. */
export function reasonToStop(victim: ReplicaSnapshot, model: string, now: number): string {
  if (!isIdle(victim)) return `it finishes what it has; ${model} has waited long for its GPUs`;
  return `idle for ${formatDuration(now - victim.idleSince)}; its GPUs are needed for ${model}`;
}
