// Plans in short words, for tests: "start a on 4", "stop a-1 (evicted)", "sleep a-1 (idle)", "refuse b: no_capacity".
import { plan } from "../../src/control/planner.ts";
import type { Action } from "../../src/control/planner/actions.ts";
import { NOW, snapshot } from "./make-snapshot.ts";

export function inWords(action: Action): string {
  switch (action.kind) {
    case "start":
      return `start ${action.recipe.id} on ${action.gpus.length}`;
    case "stop":
      return `stop ${action.replica} (${action.cause})`;
    case "sleep":
      return `sleep ${action.replica} (${action.why})`;
    case "wake":
      return `wake ${action.replica} (${action.why})`;
    case "settle":
      return `settle with ${action.replica}`;
    case "refuse":
      return `refuse ${action.demand.request.model}: ${action.error.code}`;
  }
}

export function decide(state: Parameters<typeof snapshot>[0]): readonly string[] {
  return plan(snapshot(state), NOW).actions.map(inWords);
}
