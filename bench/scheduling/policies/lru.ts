// Least recently used: whoever waits gets the GPUs of the idle models that nobody has used for longest, at once. So that a model
// that is never idle keeps nobody out for ever, it is drained when it has served, and somebody has waited, for a minute.
import type { Plan } from "../../../src/control/planner/actions.ts";
import type { FleetSnapshot, ReplicaSnapshot } from "../../../src/control/snapshot.ts";
import { Board, enough, isIdle } from "./board.ts";

const PATIENCE_MS = 60_000;

export function planLru(snapshot: FleetSnapshot, now: number): Plan {
  const board = new Board(snapshot);
  board.reap(now);
  for (const want of board.wants()) {
    const missing = board.missing(want);
    const idle = board
      .holders()
      .filter(isIdle)
      .sort((a, b) => a.idleSince - b.idleSince);
    const isPatient = want.demand.since + PATIENCE_MS <= now;
    const tired = isPatient ? longServing(board.holders(), now) : [];
    const victims = missing === 0 ? [] : (enough(idle, missing) ?? enough([...idle, ...tired], missing));
    if (victims !== undefined) board.evict(victims, want);
    else if (isPatient) board.place(want);
    else board.hold(want, "busy");
  }
  return board.plan(nextLook(snapshot, now));
}

/** Busy ones that have served for long enough, those first that have served longest. */
function longServing(holders: readonly ReplicaSnapshot[], now: number): readonly ReplicaSnapshot[] {
  return holders
    .filter((one) => !isIdle(one) && one.readyAt + PATIENCE_MS <= now)
    .sort((a, b) => a.readyAt - b.readyAt);
}

/** When somebody has been patient, a busy one has served long enough, or an idle one has been so for its keep-alive. */
function nextLook({ demands, replicas }: FleetSnapshot, now: number): number | undefined {
  const ready = replicas.filter(({ state }) => state === "ready");
  const times = [
    ...demands.map(({ since }) => since + PATIENCE_MS),
    ...ready.map(({ readyAt }) => readyAt + PATIENCE_MS),
    ...ready.filter(isIdle).map(({ idleSince, keepAliveMs }) => idleSince + keepAliveMs),
  ];
  const next = Math.min(...times.filter((at) => at > now));
  return next === Infinity ? undefined : next;
}
