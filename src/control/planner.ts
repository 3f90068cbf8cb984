// What to do now: a pure function of a snapshot and a time. Every action and every wait carries a reason a person can read.
//
//   first    replicas that nobody uses are put to sleep or unloaded when their time has come
//   then     demand, the most urgent first: what is there serves it; what sleeps is woken; what fits is started; what has to
//            go so that it fits is sent away, or waited for
//   last     what nobody waits for: the minimum of a recipe, and more or fewer replicas by what there is to do
import { select, type Selection } from "../catalog/select.ts";
import { AimError } from "../errors.ts";
import { refusal } from "./fleet/failures.ts";
import { gpuKey } from "./fleet/gpus.ts";
import type { Plan } from "./planner/actions.ts";
import { Draft, type Chosen, type Purpose } from "./planner/draft.ts";
import { tendIdle } from "./planner/idle.ts";
import type { Placement } from "./planner/ledger.ts";
import { answerOrder } from "./planner/order-answer.ts";
import { makeRoom, type Room } from "./planner/room.ts";
import { keepMinimum, scale } from "./planner/supplement.ts";
import { NO_ROOM_RETRY_MS, unavailable } from "./planner/unavailable.ts";
import type { Demand, FleetSnapshot, ReplicaSnapshot } from "./snapshot.ts";

export function plan(snapshot: FleetSnapshot, now: number): Plan {
  const draft = new Draft(snapshot, now);
  tendIdle(draft);
  for (const demand of snapshot.demands) meet(demand, draft);
  keepMinimum(draft);
  scale(draft);
  return draft.plan;
}

type Selected = Extract<Selection, { kind: "selected" }>;

function meet(demand: Demand, draft: Draft): void {
  const { model } = demand.request;
  const { census } = draft;
  // The snapshot does not show what this plan starts: the next plan sees whether that is what the order asks for.
  if (draft.isStarting(model))
    return demand.kind === "requests"
      ? undefined
      : draft.hold(demand, "starting", `a start of ${model} has just been decided`);
  if (demand.kind === "requests") {
    if (census.isComing(model)) return;
    if (!demand.mayStart)
      return draft.hold(demand, "asleep", `${model} does not run, and nobody who waits may start it`);
  }
  // Nor what it is going to be called.
  if (demand.wish?.name !== undefined && draft.startsAny)
    return draft.hold(demand, "starting", "another start has just been decided");
  const recipes = census.recipesOf(model);
  if (!draft.isKnown(recipes)) return draft.hold(demand, "surveying", "looking for replicas that already run");
  if (isFallingAsleep(demand, draft)) return;
  const sleeper = demand.kind === "requests" ? readiest(census.sleepers(model), draft) : undefined;
  if (sleeper !== undefined && wake(sleeper, demand, draft) !== "lost") return;
  const { snapshot } = draft;
  const selection = select(recipes, demand.request, draft.ledger.offers, snapshot.defaultRuntime);
  if (selection.kind !== "selected")
    return draft.refuse(demand, unavailable(snapshot, demand, { recipes, why: selection.why }));
  if (demand.kind === "order" && answer(demand, selection, draft)) return;
  if (isBackingOff(demand, selection, draft)) return;
  occupy(demand, selection, draft);
}

/** Requests hear why at once; what nobody waits for is tried again when the pause is over. */
function isBackingOff(demand: Demand, { recipe }: Selected, draft: Draft): boolean {
  const failure = draft.snapshot.failures.get(recipe.id);
  if (failure === undefined || demand.kind === "order") return false;
  if (demand.kind === "requests") draft.refuse(demand, refusal(failure, failure.until - draft.now));
  else draft.hold(demand, "backing off", failure.message, failure.until);
  return true;
}

/** It can be woken only when it sleeps. */
function isFallingAsleep(demand: Demand, draft: Draft): boolean {
  if (demand.kind === "wanted") return false;
  const dozing = draft.census.ofModel(demand.request.model).find(({ state }) => state === "dozing");
  if (dozing === undefined) return false;
  draft.hold(demand, "coming", `${dozing.name} is just falling asleep, and is woken after that`);
  return true;
}

/** The one that can be woken now; else the one that was used last. */
function readiest(sleepers: readonly ReplicaSnapshot[], draft: Draft): ReplicaSnapshot | undefined {
  const canWake = (sleeper: ReplicaSnapshot) => {
    const bed = draft.bedOf(sleeper);
    return bed !== undefined && !draft.isAway(sleeper) && draft.ledger.find(bed) !== undefined;
  };
  return sleepers.find(canWake) ?? sleepers[0];
}

/**
 * Has it woken, or what is in its way sent away. `lost`: it cannot be woken where it sleeps, and another one is to be had
 * elsewhere; it is given up where that one starts at once.
 */
function wake(sleeper: ReplicaSnapshot, demand: Demand, draft: Draft): "woken" | "held" | "lost" {
  const bed = draft.bedOf(sleeper);
  if (bed === undefined || draft.isAway(sleeper)) return "lost";
  if (draft.ledger.find(bed) !== undefined) {
    draft.wake(sleeper, purposeOf(demand));
    return "woken";
  }
  const room = makeRoom(bed, demand, draft.occupancy);
  // One that is asked for by its name is this one.
  const isAlone = demand.wish?.name !== undefined;
  if (!isAlone && (room.kind === "wait" || room.kind === "kept") && canStart(demand, draft)) {
    giveUp(sleeper, demand, draft);
    return "lost";
  }
  if (!isAlone && room.kind === "kept") return "lost";
  useRoom(demand, bed, room, draft);
  return "held";
}

function giveUp(sleeper: ReplicaSnapshot, demand: Demand, draft: Draft): void {
  if (draft.isKept(sleeper) || draft.ledger.isBesideLoad(sleeper)) return;
  draft.stop(sleeper, "evicted", `its GPUs are in use by others; ${sleeper.model} starts elsewhere`, demand);
}

/** Whether another replica would be started for it at once. */
function canStart({ kind, request, wish }: Demand, draft: Draft): boolean {
  const { snapshot, census, ledger } = draft;
  const selection = select(census.recipesOf(request.model), request, ledger.offers, snapshot.defaultRuntime);
  if (selection.kind !== "selected" || draft.isAtLimit) return false;
  if (kind !== "order" && snapshot.failures.has(selection.recipe.id)) return false;
  return ledger.find(onWished(selection, wish)) !== undefined;
}

function onWished(selection: Selected, wish: Demand["wish"]): Chosen & Placement {
  return wish?.on === undefined ? selection : { ...selection, on: wish.on };
}

function occupy(demand: Demand, selection: Selected, draft: Draft): void {
  if (draft.isAtLimit) {
    const most = draft.snapshot.policy.maxStarts;
    return draft.hold(demand, "limit", `${most} ${most === 1 ? "replica is" : "replicas are"} loading, as many as may`);
  }
  const chosen = onWished(selection, demand.wish);
  const place = draft.ledger.find(chosen);
  if (place !== undefined) return draft.start(chosen, place, purposeOf(demand));
  const room = makeRoom(chosen, demand, draft.occupancy);
  if (demand.kind !== "wanted") return useRoom(demand, chosen, room, draft);
  draft.hold(demand, "busy", `all ${draft.ledger.describe(chosen)} are in use`);
}

function purposeOf(demand: Demand): Purpose {
  const { kind, why, waiting, request } = demand;
  if (kind === "order") return { why, reason: "an operator asked for it", demand };
  if (kind === "requests") return { why, reason: `${waiting} waiting for ${request.model}`, demand };
  const reason = why === "preload" ? "it is started with the gateway" : "one like it has died";
  return { why, reason, demand };
}

/** There is no room yet: makes some, waits for it, or says that there will be none. */
function useRoom(demand: Demand, placement: Placement, room: Room, draft: Draft): void {
  const { ledger } = draft;
  const { model } = demand.request;
  switch (room.kind) {
    case "coming":
      ledger.reserve(placement);
      draft.lookAgain(room.lookAt);
      return draft.hold(demand, "coming", whatComes(room.names));
    case "make": {
      const steps = room.victims.map((victim) => draft.evict(victim, placement, demand));
      ledger.reserve(placement);
      return draft.hold(demand, "making room", `making room: ${steps.join(", ")}`);
    }
    case "wait": {
      // Who has been patient keeps what becomes free.
      if (isPatient(demand, draft)) ledger.reserve(placement);
      draft.lookAgain(room.lookAt);
      return draft.hold(demand, room.why, whyWait(room, placement, draft), room.until);
    }
    case "kept": {
      const why = `${model} has no room: of ${ledger.describe(placement)}, too many are kept by ${room.names.join(", ")}`;
      return draft.refuse(demand, new AimError("no_capacity", why, { retryAfterMs: NO_ROOM_RETRY_MS }));
    }
  }
}

function whatComes(names: readonly string[]): string {
  if (names.length === 0) return "another start on its GPUs has just been decided, and comes first";
  return `waiting for ${names.join(", ")} to give back its GPUs`;
}

function whyWait({ why, until }: Extract<Room, { kind: "wait" }>, placement: Placement, draft: Draft): string {
  const whole = `all ${draft.ledger.describe(placement)} are`;
  if (until === undefined) return `${whole} busy; waiting for one to become idle`;
  return why === "resident" ? `${whole} in use, and have not been for long` : `${whole} busy`;
}

function isPatient({ kind, since }: Demand, { now, snapshot }: Draft): boolean {
  return kind === "requests" && now - since >= snapshot.policy.maxWaitMs;
}

/** True when the order needs no new replica: there is one as asked for, or there can be none. */
function answer(demand: Demand, selection: Selected, draft: Draft): boolean {
  const { census, snapshot } = draft;
  const { recipe, profile, runtime } = selection;
  const result = answerOrder(demand, {
    recipe,
    profile,
    live: [...census.live(recipe), ...census.sleepers(recipe.model).filter(({ recipeId }) => recipeId === recipe.id)],
    states: new Map(snapshot.replicas.map(({ name, state }) => [name, state])),
    gpus: snapshot.runtimes.get(runtime)?.gpus ?? [],
    block: (gpu) => snapshot.blocks.get(gpuKey(runtime, gpu)),
  });
  if (result.kind === "refused") draft.refuse(demand, result.error);
  return result.kind === "there" ? settle(demand, result.replica, draft) : result.kind === "refused";
}

/** There is one as asked for; one that sleeps is woken first. */
function settle(demand: Demand, replica: ReplicaSnapshot, draft: Draft): boolean {
  const { name, model, profileId } = replica;
  const waking = replica.state === "sleeping" ? wake(replica, demand, draft) : "woken";
  if (waking === "woken") draft.settle(demand, replica, `${name} already serves ${model} with ${profileId}`);
  return waking !== "lost";
}
