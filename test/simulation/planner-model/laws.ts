// What has to be true of any plan, told from the snapshot alone: each breach is a sentence.
import type { Action, Plan } from "../../../src/control/planner/actions.ts";
import { isStarting } from "../../../src/control/replica.ts";
import { isLive, type Demand, type FleetSnapshot, type ReplicaSnapshot } from "../../../src/control/snapshot.ts";
import { bookingBreaches } from "./booking-laws.ts";
import { isKept, isUsed, type Scene } from "./scene.ts";

const MINUTE = 60_000;
const NAP = 5_000;

/** Empty for a plan that is as it should be. */
export function breaches(snapshot: FleetSnapshot, plan: Plan, now: number): readonly string[] {
  const scene: Scene = { snapshot, plan, now };
  return [
    ...bookingBreaches(scene),
    ...onceBreaches(scene),
    ...plan.actions.flatMap((action) => actionBreaches(action, scene)),
    ...minimumBreaches(scene),
    ...limitBreaches(scene),
    ...snapshot.demands.flatMap((demand) => answerBreaches(demand, scene)),
    ...timeBreaches(scene),
  ];
}

/** Nothing is done to one replica twice, and no model is started twice. */
function onceBreaches({ plan, snapshot }: Scene): string[] {
  const models: string[] = [];
  const names: string[] = [];
  for (const action of plan.actions) {
    if (action.kind === "start") models.push(action.recipe.model);
    if (action.kind === "wake") models.push(find(snapshot, action.replica)?.model ?? "nobody");
    if (action.kind === "stop" || action.kind === "sleep" || action.kind === "wake") names.push(action.replica);
  }
  return [
    ...repeated(models).map((model) => `${model} is started twice`),
    ...repeated(names).map((name) => `two things are done to ${name}`),
  ];
}

function actionBreaches(action: Action, scene: Scene): string[] {
  const { snapshot } = scene;
  if (action.kind === "start") {
    const { demand, recipe } = action;
    const isPaused = snapshot.failures.has(recipe.id) && demand?.kind !== "order";
    return [
      ...(demand?.mayStart === false ? [`${recipe.id} is started for those who have no right to it`] : []),
      ...(isPaused ? [`a start of ${recipe.id} ignores its pause`] : []),
    ];
  }
  if (action.kind === "settle" || action.kind === "refuse") return [];
  const replica = find(snapshot, action.replica);
  if (replica === undefined) return [`there is no ${action.replica}`];
  const { name, state } = replica;
  const rightless =
    action.demand?.mayStart === false ? [`${name}: ${action.kind} for those who have no right to it`] : [];
  if (snapshot.runtimes.get(replica.runtime)?.unavailable !== undefined)
    return [`${name}: ${action.kind} while its runtime is away`];
  if (action.kind === "wake")
    return [...rightless, ...(state === "sleeping" && !replica.stale ? [] : [`${name} is woken: it is ${state}`])];
  return [...rightless, ...departureBreaches(action, replica, scene)];
}

type Departure = Extract<Action, { kind: "stop" | "sleep" }>;

function departureBreaches(action: Departure, replica: ReplicaSnapshot, scene: Scene): string[] {
  const { now, snapshot, plan } = scene;
  const { name, state, idleSince, keepAliveMs } = replica;
  const why = action.kind === "stop" ? action.cause : action.why;
  const what = `${name} (${state}) goes (${action.kind}, ${why})`;
  const found: string[] = [];
  const blame = (isSo: boolean, how: string) => isSo && found.push(`${what} ${how}`);
  blame(!(isStarting(state) || state === "ready" || state === "sleeping"), "although it is on its way");
  blame(isKept(replica, scene), "although it is kept");
  if (action.kind === "sleep")
    blame(
      state !== "ready" ||
        replica.inFlight > 0 ||
        replica.sleep === undefined ||
        !replica.responsive ||
        isUsed(replica),
      "and cannot sleep",
    );
  if (why === "idle" || why === "stale") {
    blame(isUsed(replica) && !(why === "stale" && state === "sleeping"), "while it is used");
    if (action.kind === "stop" && why === "idle") blame(now < idleSince + keepAliveMs, "before its time");
    if (action.kind === "sleep") blame(now < idleSince + (replica.sleep?.afterMs ?? Infinity), "before its time");
  }
  if (why === "evicted" && state === "ready") blame(!hasToYield(replica, action.demand, scene), "too soon");
  if (why === "unwanted") blame(!isUnwanted(replica, action.demand, scene), "while it is wanted");
  const isOwn = action.demand?.request.model === replica.model && state === "sleeping" && !replica.stale;
  const isReplaced =
    plan.actions.some((one) => one.kind === "start" && one.recipe.model === replica.model) ||
    ["coming", "making room"].includes(plan.holds.get(action.demand?.id ?? "")?.why ?? "");
  if (isOwn && why === "evicted") blame(!isReplaced, "for its own model, which nothing is started of");
  const adds = action.demand?.why === "scale out" || action.demand?.wish?.atLeast !== undefined;
  blame(
    adds && state !== "sleeping" && action.demand?.request.model === replica.model,
    "for one more of its own model",
  );
  blame(why === "evicted" && action.demand === undefined && !snapshot.scale.size, "for nobody");
  return found;
}

function hasToYield(replica: ReplicaSnapshot, demand: Demand | undefined, { snapshot, now }: Scene): boolean {
  const { minResidencyMs, maxWaitMs } = snapshot.policy;
  const { heat, readyAt, idleSince, stateSince, loadMs, sleep } = replica;
  const back = sleep === undefined ? loadMs : Math.min(NAP, loadMs);
  const least = Math.min(minResidencyMs, back);
  if (demand?.kind === "requests" && now >= Math.max(demand.since + maxWaitMs, readyAt + least)) return true;
  if (isUsed(replica)) return false;
  if (demand?.kind === "order" || heat * back < MINUTE) return true;
  return now >= readyAt + least || now >= Math.max(idleSince, stateSince) + least;
}

function isUnwanted(
  { idleSince, waiting, launched }: ReplicaSnapshot,
  demand: Demand | undefined,
  { snapshot, now }: Scene,
): boolean {
  const isAllowed = snapshot.policy.abortsUnwanted && demand !== undefined && demand.kind !== "wanted";
  return isAllowed && waiting === 0 && !launched && now >= idleSince + 15_000;
}

/** Of all that go together, too: no recipe is taken below what it keeps. */
function minimumBreaches({ snapshot, plan }: Scene): string[] {
  const going = plan.actions.flatMap((action) =>
    action.kind === "stop" || action.kind === "sleep" ? [action.replica] : [],
  );
  return snapshot.recipes.flatMap(({ id, replicas: { min } }) => {
    const live = snapshot.replicas.filter((one) => one.recipeId === id && isLive(one) && !one.stale);
    const taken = live.filter(({ name }) => going.includes(name));
    const left = live.filter(({ name }) => !going.includes(name)).length;
    return taken.length > 0 && left < min ? [`${id} keeps ${min}, and is left ${left}`] : [];
  });
}

function limitBreaches({ snapshot, plan }: Scene): string[] {
  const { maxStarts, sleepMemoryBytes } = snapshot.policy;
  const stops = new Set(plan.actions.flatMap((action) => (action.kind === "stop" ? [action.replica] : [])));
  const before = snapshot.replicas.filter(({ name, state }) => isStarting(state) && !stops.has(name)).length;
  const starts = plan.actions.filter(({ kind }) => kind === "start").length;
  const naps = plan.actions.flatMap((action) => (action.kind === "sleep" ? [find(snapshot, action.replica)] : []));
  const nappers = snapshot.replicas.filter(
    ({ state }) => state === "sleeping" || state === "dozing" || state === "waking",
  );
  const bytes = [...nappers, ...naps].reduce((sum, one) => sum + (one?.sleep?.hostBytes ?? 0), 0);
  return [
    ...(starts > 0 && before + starts > maxStarts ? [`${before + starts} load at a time`] : []),
    ...(naps.length > 0 && bytes > sleepMemoryBytes ? [`sleepers take ${bytes} bytes`] : []),
  ];
}

/** It is met, or told why not, or what it waits for is on its way. */
function answerBreaches(demand: Demand, { snapshot, plan }: Scene): string[] {
  if (plan.holds.has(demand.id)) return [];
  const { model } = demand.request;
  const isAnswered = plan.actions.some((action) => {
    if (action.kind === "stop" || action.kind === "sleep") return false;
    if (action.demand?.id === demand.id) return true;
    if (demand.kind !== "requests") return false;
    if (action.kind === "start") return action.recipe.model === model;
    return action.kind === "wake" && find(snapshot, action.replica)?.model === model;
  });
  const isComing = snapshot.replicas.some((one) => one.model === model && isLive(one));
  return isAnswered || (demand.kind === "requests" && isComing) ? [] : [`${demand.id} hears nothing`];
}

/** Clocks count whole milliseconds. */
function timeBreaches({ plan, now }: Scene): string[] {
  const wakeAt = plan.wakeAt ?? Infinity;
  const isResident = [...plan.holds.values()].some(({ why, until }) => why === "resident" && until !== undefined);
  return [
    ...(isResident && wakeAt === Infinity ? ["nobody looks when a residency is over"] : []),
    ...(wakeAt <= now ? [`it is to be looked at again at ${wakeAt}, and it is ${now}`] : []),
    ...[...plan.holds].flatMap(([id, { until }]) =>
      until !== undefined && wakeAt > Math.ceil(until)
        ? [`${id} is promised something at ${until}, when nobody looks`]
        : [],
    ),
  ];
}

function find({ replicas }: FleetSnapshot, name: string): ReplicaSnapshot | undefined {
  return replicas.find((one) => one.name === name);
}

function repeated(names: readonly string[]): readonly string[] {
  return [...new Set(names.filter((name, index) => names.indexOf(name) !== index))];
}
