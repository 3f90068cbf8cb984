// No eviction, as cluster managers do whose replicas are set by hand: what fits stays, the rest is refused at once.
import { AimError } from "../../../src/errors.ts";
import type { Plan } from "../../../src/control/planner/actions.ts";
import type { FleetSnapshot } from "../../../src/control/snapshot.ts";
import { Board } from "./board.ts";

export function planFixed(snapshot: FleetSnapshot): Plan {
  const board = new Board(snapshot);
  for (const want of board.wants()) {
    if (board.missing(want) === 0) board.place(want);
    else board.refuse(want, new AimError("no_capacity", `no instance of ${want.recipe.model} is running`));
  }
  return board.plan(undefined);
}
