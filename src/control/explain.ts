// What would happen if somebody asked now: the planner itself is asked, with one more demand. Pure, and nothing is changed.
import type { RuntimeName } from "../catalog/recipe.ts";
import type { AimError } from "../errors.ts";
import { formatDuration } from "../lib/units.ts";
import { select } from "../catalog/select.ts";
import { offersOf } from "./planner/ledger.ts";
import type { LaunchOrder } from "./fleet/orders.ts";
import { toDemand } from "./fleet/orders.ts";
import { plan } from "./planner.ts";
import type { Action, Plan } from "./planner/actions.ts";
import { isLive, type Demand, type FleetSnapshot, type ReplicaSnapshot } from "./snapshot.ts";

export interface Explanation {
  readonly model: string;
  /**
   * `serves`: a replica is there or coming up; `starts`: at once, on free GPUs; `evicts`: after stopping others; `waits`: for
   * GPUs that are busy or about to be given back; `refused`: it cannot be had.
   */
  readonly verdict: "serves" | "starts" | "evicts" | "waits" | "refused";
  /** One sentence. */
  readonly summary: string;
  readonly recipe?: string;
  readonly profile?: string;
  readonly runtime?: RuntimeName;
  /** GPUs it would get; empty when it needs none, or has to wait for some. */
  readonly gpus: readonly string[];
  readonly evicts: readonly { readonly replica: string; readonly reason: string }[];
  readonly reasons: readonly string[];
}

const ID = "explain";

/** With nothing but a model it is explained what a request would meet; with more, what a launch would. */
export function explain(snapshot: FleetSnapshot, now: number, order: LaunchOrder): Explanation {
  const demand = demandOf(order, now);
  const model = order.request.model;
  const serving =
    demand.kind === "requests" ? snapshot.replicas.find((one) => one.model === model && isLive(one)) : undefined;
  if (serving !== undefined) return serves(serving, `${serving.name} is ${serving.state}`);
  const decided = plan({ ...snapshot, demands: [...snapshot.demands, demand] }, now);
  const action = decided.actions.find((one) => one.kind !== "stop" && one.kind !== "sleep" && one.demand?.id === ID);
  if (action === undefined) return held(snapshot, decided, demand);
  switch (action.kind) {
    case "start":
      return starts(action);
    case "settle":
      return serves(replicaOf(snapshot, action.replica), action.reason);
    case "refuse":
      return { ...NOTHING, model, verdict: "refused", summary: action.error.message, reasons: causesOf(action.error) };
    case "wake":
      return serves(replicaOf(snapshot, action.replica), action.reason);
    case "sleep":
    case "stop":
      return held(snapshot, decided, demand);
  }
}

/** Plans speak of nothing that the snapshot they were made from does not hold. */
function replicaOf({ replicas }: FleetSnapshot, name: string): ReplicaSnapshot {
  const replica = replicas.find((one) => one.name === name);
  if (replica === undefined) throw new Error(`the plan names ${name}, which does not exist`);
  return replica;
}

const NOTHING = { gpus: [], evicts: [], reasons: [] } as const;

function demandOf(order: LaunchOrder, since: number): Demand {
  const { request, ...wish } = order;
  if (Object.keys(request).length === 1 && Object.keys(wish).length === 0) {
    return { id: ID, kind: "requests", why: "requests", request, since, rank: since, waiting: 1, mayStart: true };
  }
  return toDemand(ID, order, since);
}

function serves(replica: ReplicaSnapshot, summary: string): Explanation {
  const { model, recipeId, profileId, runtime, gpus } = replica;
  return { ...NOTHING, model, verdict: "serves", summary, recipe: recipeId, profile: profileId, runtime, gpus };
}

function starts({ recipe, profile, runtime, gpus, reasons }: Extract<Action, { kind: "start" }>): Explanation {
  const on = gpus.length === 0 ? "" : ` on ${gpus.length} free ${gpus.length === 1 ? "GPU" : "GPUs"}`;
  return {
    model: recipe.model,
    verdict: "starts",
    summary: `${recipe.id} with ${profile.id} would start at once${on}`,
    recipe: recipe.id,
    profile: profile.id,
    runtime,
    gpus,
    evicts: [],
    reasons,
  };
}

/** What operators are told beyond what clients are. */
function causesOf({ data, retryAfterMs }: AimError): readonly string[] {
  const { cause, advice } = data;
  return [
    ...(typeof cause === "string" && typeof advice === "string" ? [`${cause}: ${advice}`] : []),
    ...(retryAfterMs === undefined
      ? []
      : [`worth asking again in ${formatDuration(retryAfterMs)}; a launch tries at once`]),
  ];
}

/** It would have to wait, perhaps for those that are stopped for it. */
function held(snapshot: FleetSnapshot, { actions, holds }: Plan, { request }: Demand): Explanation {
  const evicts = actions.flatMap((action) =>
    action.kind === "stop" && action.demand?.id === ID ? [{ replica: action.replica, reason: action.reason }] : [],
  );
  const selection = select(snapshot.recipes, request, offersOf(snapshot), snapshot.defaultRuntime);
  const chosen = selection.kind === "selected" ? selection : undefined;
  const waiting = snapshot.demands.length;
  const before = waiting === 0 ? [] : [`${waiting} other ${waiting === 1 ? "demand was" : "demands were"} there first`];
  return {
    model: request.model,
    verdict: evicts.length > 0 ? "evicts" : "waits",
    summary: holds.get(ID)?.text ?? "it would wait",
    ...(chosen && {
      recipe: chosen.recipe.id,
      profile: chosen.profile.id,
      runtime: chosen.runtime,
    }),
    gpus: [],
    evicts,
    reasons: [...(chosen?.reasons ?? []), ...before],
  };
}
