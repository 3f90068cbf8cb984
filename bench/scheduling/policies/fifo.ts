// Swapping in the order of arrival, as llama-swap does: requests for a loaded model are served at once, be it that others wait;
// whoever has waited longest gets the GPUs of the models that were loaded first, as soon as nothing is in flight there.
// Kinder than the original: models that fit beside each other stay without being told to, and a busy one is passed over.
import type { Plan } from "../../../src/control/planner/actions.ts";
import type { FleetSnapshot } from "../../../src/control/snapshot.ts";
import { Board, enough, isIdle } from "./board.ts";

export function planFifo(snapshot: FleetSnapshot): Plan {
  const board = new Board(snapshot);
  for (const want of board.wants()) {
    const missing = board.missing(want);
    const idle = board
      .holders()
      .filter(isIdle)
      .sort((a, b) => a.readyAt - b.readyAt);
    const victims = missing === 0 ? [] : enough(idle, missing);
    if (victims === undefined) board.hold(want, "busy");
    else board.evict(victims, want);
  }
  return board.plan(undefined);
}
