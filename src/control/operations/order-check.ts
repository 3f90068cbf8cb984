// A launch as it arrives becomes an order here: names are resolved and every value is checked, before anything is done about it.
import type { Catalog } from "../../catalog/catalog.ts";
import { checkLaunchFlags } from "../../catalog/launch-flags.ts";
import { withFlags } from "../../catalog/launch-spec.ts";
import { whyMemoryIsWrong } from "../../catalog/memory-flags.ts";
import { ENGINES, PRECISIONS, type ModelId, type Recipe } from "../../catalog/recipe.ts";
import { RECIPE_ID, RECIPE_ID_RULE } from "../../catalog/recipe-schema.ts";
import type { SelectRequest } from "../../catalog/select.ts";
import { AimError } from "../../errors.ts";
import type { Fleet } from "../fleet.ts";
import type { GpuStatus } from "../fleet/fleet-view.ts";
import type { Names } from "./names.ts";
import type { LaunchOrder } from "../fleet/orders.ts";

/** What somebody asks for, in his own words. */
export interface LaunchWish {
  readonly model: string;
  readonly recipe?: string;
  readonly gpus?: number;
  readonly precision?: string;
  readonly engine?: string;
  readonly keepAliveMs?: number;
  readonly replicas?: number;
  /** GPU ids, or their numbers. */
  readonly on?: readonly string[];
  readonly name?: string;
  readonly flags?: readonly string[];
  readonly pinned?: boolean;
}

export interface OrderContext {
  readonly catalog: Catalog;
  readonly names: Names;
  readonly fleet: Fleet;
}

const MAX_REPLICAS = 64;
/** A first look at a runtime takes about as long. */
const LOOKING_MS = 2_000;

export function orderOf(wish: LaunchWish, context: OrderContext): LaunchOrder {
  const { keepAliveMs, replicas = 1, pinned = false } = wish;
  const model = context.catalog.resolve(wish.model);
  if (model === undefined) throw context.names.unknown(wish.model, "model_not_found");
  checkCount(wish, replicas);
  if (pinned && keepAliveMs !== undefined)
    throw invalid("keepAlive", "what is pinned is kept however long it is idle; leave keepAlive out, or do not pin it");
  const on = wish.on === undefined ? undefined : gpuIds(wish.on, context.fleet);
  const request = requestOf(wish, model, context.catalog, on?.length);
  return {
    request,
    ...(keepAliveMs === undefined ? {} : { keepAliveMs }),
    ...(replicas === 1 ? {} : { atLeast: replicas }),
    ...(on === undefined ? {} : { on }),
    ...(wish.name === undefined ? {} : { name: checkedName(wish.name) }),
    ...(pinned && { pinned }),
    ...(wish.flags === undefined || wish.flags.length === 0
      ? {}
      : { flags: checkedFlags(wish.flags, request, context.catalog) }),
  };
}

/** The GPU that somebody means by an id or a number. */
export function gpuNamed(name: string, fleet: Fleet, param: string): GpuStatus {
  const gpus = fleet.machines.gpus();
  const found = gpus.find(
    ({ gpu, number }) => gpu.id === name.toLowerCase() || gpu.id === name || String(number) === name,
  );
  if (found !== undefined) return found;
  if ([...fleet.machines.runtimes.values()].some((runtime) => !runtime.known && runtime.unavailable === undefined)) {
    const message = "it is still being found out which GPUs there are; try again in a moment";
    throw new AimError("runtime_unavailable", message, { param, retryAfterMs: LOOKING_MS });
  }
  const known = gpus.map(({ gpu, number }) => `${number} (${gpu.id})`).join(", ");
  const there = known === "" ? "this machine has no GPUs that replicas could use" : `there are ${known}`;
  throw invalid(param, `there is no GPU ${name}; ${there}`);
}

function requestOf(wish: LaunchWish, model: ModelId, catalog: Catalog, named: number | undefined): SelectRequest {
  const { recipe, gpus = named, precision, engine } = wish;
  if (recipe !== undefined && catalog.recipe(recipe)?.model !== model) {
    const known = catalog.recipesFor(model).map(({ id }) => id);
    throw invalid("recipe", `${recipe} is no recipe of ${model}; there are ${known.join(", ")}`);
  }
  if (named !== undefined && gpus !== named) {
    throw invalid("on", `${count(named)} named, but ${count(gpus ?? 0)} asked for; name as many as you ask for`);
  }
  return {
    model,
    ...(recipe === undefined ? {} : { recipe }),
    ...(gpus === undefined ? {} : { gpus }),
    ...(precision === undefined ? {} : { precision: oneOf(PRECISIONS, precision, "precision") }),
    ...(engine === undefined ? {} : { engine: oneOf(ENGINES, engine, "engine") }),
  };
}

function checkCount({ name, on }: LaunchWish, replicas: number): void {
  if (!Number.isInteger(replicas) || replicas < 1 || replicas > MAX_REPLICAS) {
    throw invalid("replicas", `replicas is a whole number from 1 to ${MAX_REPLICAS}, not ${replicas}`);
  }
  if (replicas === 1) return;
  if (name !== undefined)
    throw invalid("name", `${replicas} replicas cannot all be called ${name}; launch one at a time`);
  if (on !== undefined) throw invalid("on", `${replicas} replicas cannot share the GPUs named; launch one at a time`);
}

function gpuIds(names: readonly string[], fleet: Fleet): readonly string[] {
  const found = names.map((name) => gpuNamed(name, fleet, "on"));
  const [first] = found;
  if (first === undefined) throw invalid("on", "name at least one GPU");
  const twice = found.find(({ number }, index) => found.findIndex((one) => one.number === number) < index);
  if (twice !== undefined) throw invalid("on", `GPU ${twice.gpu.id} is named twice`);
  const other = found.find(({ runtime }) => runtime !== first.runtime);
  if (other !== undefined) {
    const message = `GPU ${first.gpu.id} belongs to the ${first.runtime} runtime and ${other.gpu.id} to ${other.runtime}`;
    throw invalid("on", `${message}; one replica cannot have both`);
  }
  return found.map(({ gpu }) => gpu.id);
}

/** It becomes part of container names, as a recipe's id does. */
function checkedName(name: string): string {
  if (RECIPE_ID.test(name)) return name;
  throw invalid("name", `"${name}" cannot be the name of a replica; it has ${RECIPE_ID_RULE}`);
}

/** Which recipe and profile will be chosen is decided later, so the flags have to suit each that may be. */
function checkedFlags(flags: readonly string[], request: SelectRequest, catalog: Catalog): readonly string[] {
  const recipes = catalog
    .recipesFor(request.model)
    .filter(({ id, engine }) => (request.recipe ?? id) === id && (request.engine ?? engine) === engine);
  for (const recipe of recipes) {
    const why = checkLaunchFlags(recipe.engine, flags) ?? whyUnsuited(flags, recipe, request.gpus);
    if (why !== undefined) throw invalid("flags", why);
  }
  return flags;
}

/** Why the flags contradict how a recipe shares its GPUs, at this many of them, or at any number where none is given. */
function whyUnsuited(flags: readonly string[], recipe: Recipe, gpus: number | undefined): string | undefined {
  for (const profile of recipe.profiles) {
    const isPossible = gpus === undefined || profile.gpus === gpus;
    const why = isPossible ? whyMemoryIsWrong(recipe, withFlags(profile, flags)) : undefined;
    if (why !== undefined) return `recipe ${recipe.id}, profile ${profile.id}: ${why}`;
  }
  return undefined;
}

function oneOf<T extends string>(known: readonly T[], text: string, param: string): T {
  const found = known.find((one) => one === text);
  if (found !== undefined) return found;
  throw invalid(param, `${param} "${text}" is unknown; it is one of ${known.join(", ")}`);
}

function count(gpus: number): string {
  return gpus === 1 ? "1 GPU is" : `${gpus} GPUs are`;
}

function invalid(param: string, message: string): AimError {
  return new AimError("invalid_value", message, { param });
}
