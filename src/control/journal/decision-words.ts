// Decisions and waits as events: their types, from the one vocabulary of reasons, and their sentences.
import type { NewEvent } from "../../telemetry/events.ts";
import type { Action } from "../planner/actions.ts";
import type { Hold } from "../planner/why.ts";

/** The word that says why, for programs; also the label of the metric. */
export function whyOf(action: Action): string {
  switch (action.kind) {
    case "start":
    case "wake":
    case "sleep":
      return action.why;
    case "stop":
      return action.cause;
    case "settle":
      return action.demand.why;
    case "refuse":
      return action.error.code;
  }
}

/** "decision:start:requests", "hold:making-room" */
export function typeOf(phase: string, why: string): string {
  return `${phase}:${why.replaceAll(" ", "-")}`;
}

/** The event of a decision; `model` is that of the replica it is about. */
export function decisionEvent(action: Action, model: string | undefined): NewEvent {
  const type = typeOf(`decision:${action.kind}`, whyOf(action));
  switch (action.kind) {
    case "start": {
      const { recipe, profile, gpus, reason } = action;
      const on = gpus.length === 0 ? "" : ` on ${gpus.join(", ")}`;
      return { type, message: `start ${recipe.id} with ${profile.id}${on}: ${reason}`, model: recipe.model };
    }
    case "refuse": {
      const { request } = action.demand;
      return { type, message: `refuse ${request.model}: ${action.reason}`, model: request.model };
    }
    case "stop":
    case "sleep":
    case "wake":
    case "settle": {
      const { replica, reason } = action;
      const verb = { stop: "stop", sleep: "put to sleep", wake: "wake", settle: "keep" }[action.kind];
      return { type, message: `${verb} ${replica}: ${reason}`, replica, ...(model === undefined ? {} : { model }) };
    }
  }
}

/** The event of a wait that began, or goes on for another reason. */
export function holdEvent(model: string, { why, text }: Hold, waiting: number): NewEvent {
  const who = waiting === 1 ? "1 waits" : `${waiting} wait`;
  return { type: typeOf("hold", why), message: `${model}: ${who}; ${text}`, model };
}
