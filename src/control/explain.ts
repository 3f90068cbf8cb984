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
import type { Hold } from "./planner/why.ts";
import { describeHold } from "./wait-words.ts";
import { isLive, type Demand, type FleetSnapshot, type ReplicaSnapshot } from "./snapshot.ts";

export interface Explanation {
  readonly model: string;
  /**
   * `serves`: a replica is there or coming up; `wakes`: one that sleeps is woken; `starts`: at once, on free GPUs; `evicts`:
   * after stopping others or putting them to sleep; `waits`: `why` says for what; `refused`: it cannot be had.
   */
  readonly verdict: "serves" | "wakes" | "starts" | "evicts" | "waits" | "refused";
  /** Of the vocabulary of plans; absent where nothing has to be done. */
  readonly why?: string;
  /** One sentence. */
  readonly summary: string;
  readonly recipe?: string;
  readonly profile?: string;
  readonly runtime?: RuntimeName;
  /** GPUs it would get; empty when it needs none, or has to wait for some. */
  readonly gpus: readonly string[];
  /** Those that would have to go for it, or to sleep. */
  readonly evicts: readonly { readonly replica: string; readonly reason: string }[];
  readonly reasons: readonly string[];
}

const ID = "explain";

/** With nothing but a model it is explained what a request would meet; with more, what a launch would. */
export function explain(snapshot: FleetSnapshot, now: number, order: LaunchOrder): Explanation {
  const model = order.request.model;
  const { demand, demands } = withDemand(snapshot, demandOf(order, now));
  const serving =
    demand.kind === "requests" ? snapshot.replicas.find((one) => one.model === model && isLive(one)) : undefined;
  if (serving !== undefined) {
    const reasons = snapshot.replicas.flatMap((one) => (one.model === model ? whyLeftOut(one) : []));
    return { ...serves(serving, `${serving.name} is ${serving.state}`), reasons };
  }
  const decided = plan({ ...snapshot, demands }, now);
  const action = decided.actions.find((one) => isAnswer(one, demand));
  if (action === undefined) return held(snapshot, decided, { demand, now });
  switch (action.kind) {
    case "start":
      return starts(action);
    case "settle":
      return serves(replicaOf(snapshot, action.replica), action.reason);
    case "refuse":
      return refused(model, action.error);
    case "wake":
      return wakes(replicaOf(snapshot, action.replica), action.why);
    case "sleep":
    case "stop":
      return held(snapshot, decided, { demand, now });
  }
}

function whyLeftOut({ name, leftOut }: ReplicaSnapshot): readonly string[] {
  return leftOut === undefined ? [] : [`${name} is ${leftOut}`];
}

/** A request joins those that wait for the model already, and shares their fate; what is new takes its place by rank. */
function withDemand({ demands }: FleetSnapshot, asked: Demand): { demand: Demand; demands: readonly Demand[] } {
  const { model } = asked.request;
  const known = demands.find((one) => one.kind === "requests" && one.mayStart && one.request.model === model);
  if (asked.kind === "requests" && known !== undefined) return { demand: known, demands };
  return { demand: asked, demands: [...demands, asked].sort((a, b) => a.rank - b.rank) };
}

/** What is decided for it; requests are served by whatever is started for their model. */
function isAnswer(action: Action, { id, kind, request }: Demand): boolean {
  if (action.kind === "stop" || action.kind === "sleep") return false;
  return (
    action.demand?.id === id ||
    (kind === "requests" && action.kind === "start" && action.recipe.model === request.model)
  );
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

function wakes(sleeper: ReplicaSnapshot, why: string): Explanation {
  return { ...serves(sleeper, `${sleeper.name} sleeps, and would be woken at once`), verdict: "wakes", why };
}

function refused(model: string, error: AimError): Explanation {
  return {
    ...NOTHING,
    model,
    verdict: "refused",
    why: error.code,
    summary: error.message,
    reasons: causesOf(error),
  };
}

function starts({ recipe, profile, runtime, gpus, why, reasons }: Extract<Action, { kind: "start" }>): Explanation {
  const on = gpus.length === 0 ? "" : ` on ${gpus.length} free ${gpus.length === 1 ? "GPU" : "GPUs"}`;
  return {
    model: recipe.model,
    verdict: "starts",
    why,
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

function afterwards(evicts: Explanation["evicts"]): string {
  return `it would start as soon as ${evicts.map(({ replica }) => replica).join(" and ")} made room`;
}

function whatFor(hold: Hold | undefined, now: number): string {
  return hold === undefined ? "it would wait" : describeHold(hold, now, { doing: "loading" });
}

interface Asked {
  readonly demand: Demand;
  readonly now: number;
}

type SentAway = Extract<Action, { kind: "stop" | "sleep" }>;

/** For those who ask, not for others and not for being idle. */
function isSentAway(action: Action, { id }: Demand): action is SentAway {
  return (action.kind === "stop" || action.kind === "sleep") && action.demand?.id === id;
}

function sentAway({ kind, replica, reason }: SentAway): Explanation["evicts"][number] {
  return { replica, reason: kind === "sleep" ? `${reason}; it is put to sleep` : reason };
}

/** It would have to wait, perhaps for those that are stopped for it. */
function held(snapshot: FleetSnapshot, { actions, holds }: Plan, { demand, now }: Asked): Explanation {
  const { request } = demand;
  const hold = holds.get(demand.id);
  const evicts = actions.flatMap((action) => (isSentAway(action, demand) ? [sentAway(action)] : []));
  const selection = select(snapshot.recipes, request, offersOf(snapshot), snapshot.defaultRuntime);
  const chosen = selection.kind === "selected" ? selection : undefined;
  const waiting = snapshot.demands.filter(({ id, rank }) => id !== demand.id && rank <= demand.rank).length;
  const before = waiting === 0 ? [] : [`${waiting} other ${waiting === 1 ? "demand was" : "demands were"} there first`];
  return {
    model: request.model,
    verdict: evicts.length > 0 ? "evicts" : "waits",
    ...(hold && { why: hold.why }),
    summary: evicts.length > 0 ? afterwards(evicts) : whatFor(hold, now),
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
