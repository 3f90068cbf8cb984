// How a model stands, for people: whether it can be had, and what it waits for if not at once.
import type { Recipe } from "../../catalog/recipe.ts";
import type { Selection } from "../../catalog/select.ts";
import type { Fleet } from "../fleet.ts";
import type { Prospects } from "../prospects.ts";
import type { Replica } from "../replica.ts";
import { runtimeOf, type FleetSnapshot } from "../snapshot.ts";

export type ModelState = "cold" | "starting" | "ready" | "sleeping" | "failed" | "unavailable";

export interface ModelStanding {
  readonly status: ModelState;
  /** For operators: may name paths and machines. */
  readonly reason?: string;
  /** For API clients. */
  readonly publicReason?: string;
  /** What the engine said last, when its last start failed; for operators. */
  readonly lastLines?: readonly string[];
  /** Until it serves, where that can be told: while it starts, wakes up, or waits for GPUs. */
  readonly etaSeconds?: number;
}

export interface StandingDeps {
  readonly fleet: Fleet;
  readonly prospects: Prospects;
}

export interface ModelSubject {
  readonly model: string;
  readonly recipes: readonly Recipe[];
  readonly replicas: readonly Replica[];
  /** What would be started for a request. */
  readonly selection: Selection;
}

export function standingOf(subject: ModelSubject, snapshot: FleetSnapshot, deps: StandingDeps): ModelStanding {
  const { model, replicas } = subject;
  if (replicas.some((replica) => replica.isServing)) return { status: "ready" };
  const waking = replicas.some(({ state }) => state === "waking");
  const starting = replicas.find((replica) => replica.isStarting);
  if (waking || starting !== undefined) return coming(model, starting?.reason ?? "waking up", deps);
  const absent = replicas.some(({ state }) => state === "sleeping" || state === "dozing")
    ? { status: "sleeping" as const }
    : absentStanding(subject, snapshot, deps);
  return { ...absent, ...waitOf(absent, model, deps) };
}

function coming(model: string, reason: string, { prospects }: StandingDeps): ModelStanding {
  return { status: "starting", reason, publicReason: reason, ...etaOf(model, prospects) };
}

/** What those wait for who ask for it now; of one that failed or cannot be had, that is said already. */
function waitOf({ status }: ModelStanding, model: string, { fleet, prospects }: StandingDeps): Partial<ModelStanding> {
  if (fleet.demand.holdOf(model) === undefined || (status !== "cold" && status !== "sleeping")) return {};
  const reason = prospects.describe(model);
  return { ...(reason === undefined ? {} : { reason, publicReason: reason }), ...etaOf(model, prospects) };
}

function etaOf(model: string, prospects: Prospects): Pick<ModelStanding, "etaSeconds"> {
  const etaMs = prospects.etaMs(model);
  return etaMs === undefined ? {} : { etaSeconds: Math.ceil(etaMs / 1000) };
}

function absentStanding(
  { recipes, selection }: ModelSubject,
  snapshot: FleetSnapshot,
  { fleet }: StandingDeps,
): ModelStanding {
  const failure = recipes.flatMap((recipe) => fleet.lastFailure(recipe.id) ?? [])[0];
  if (failure !== undefined) {
    const { message, advice, lastLines } = failure;
    return { status: "failed", reason: `${message}: ${advice}`, publicReason: message, lastLines };
  }
  if (selection.kind === "selected") return { status: "cold" };
  // Why a runtime is away names sockets and paths, which are nobody's business but the operator's.
  const isAway = recipes.some((recipe) => runtimeOf(snapshot, recipe)?.unavailable !== undefined);
  const publicReason = isAway ? "its runtime is not available" : selection.why;
  return { status: "unavailable", reason: selection.why, publicReason };
}
