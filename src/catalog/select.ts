// Which recipe and profile serve a request: pure, and every answer carries its reasons.
import { split } from "../lib/split.ts";
import { bestSupply, describeGpus, describeNeed, type GpuTraits, type Supply } from "./hardware.ts";
import type { Engine, ModelId, Precision, Profile, Recipe, RecipeId, RuntimeName } from "./recipe.ts";

export { likenessOf, matchesHardware, kindName, type Supply } from "./hardware.ts";

/** What was asked for. Everything but `model` is an explicit wish, and an explicit wish is never silently replaced. */
export interface SelectRequest {
  readonly model: ModelId;
  readonly recipe?: RecipeId;
  readonly gpus?: number;
  readonly precision?: Precision;
  readonly engine?: Engine;
}

/** What one runtime offers right now. */
export interface RuntimeOffer {
  /** Why it cannot be used, e.g. "cannot reach Docker at /var/run/docker.sock"; absent when it can. */
  readonly unavailable?: string;
  /** False where the cluster's scheduler picks GPUs: then nothing is known about them here. */
  readonly knowsGpus: boolean;
  /** Those that may be given out, now or when their holders end. */
  readonly gpus: readonly (GpuTraits & { readonly free: boolean })[];
  /** What `bestSupply` would count, where that is known already. */
  supply?(recipe: Recipe): Supply | undefined;
}

export interface Rejection {
  readonly recipe: RecipeId;
  readonly profile?: string;
  readonly why: string;
}

export type Selection =
  | {
      readonly kind: "selected";
      readonly recipe: Recipe;
      readonly profile: Profile;
      readonly runtime: RuntimeName;
      readonly reasons: readonly string[];
    }
  | { readonly kind: "ambiguous"; readonly recipes: readonly Recipe[]; readonly why: string }
  | { readonly kind: "rejected"; readonly rejections: readonly Rejection[]; readonly why: string };

/** A recipe that can serve the request, with its best profile. */
interface Candidate {
  readonly recipe: Recipe;
  readonly profile: Profile;
  readonly runtime: RuntimeName;
  readonly supply: Supply | undefined;
  /** Why this profile. */
  readonly reason: string;
}

/**
 * The recipe, profile and runtime that serve a request. What is asked for is honoured or refused, never replaced; what is
 * free just now decides nothing, since the rest can become free. Two recipes that are equally good are for people to choose from.
 */
export function select(
  recipes: readonly Recipe[],
  request: SelectRequest,
  offers: ReadonlyMap<RuntimeName, RuntimeOffer>,
  defaultRuntime: RuntimeName,
): Selection {
  const known = recipes.filter((recipe) => recipe.model === request.model);
  const candidates: Candidate[] = [];
  const rejections: Rejection[] = [];
  for (const recipe of known) {
    const runtime = recipe.runtime ?? defaultRuntime;
    const result = consider(recipe, request, { runtime, offer: offers.get(runtime) });
    if ("profile" in result) candidates.push(result);
    else rejections.push(...result.rejections);
  }
  const { best, reasons } = prefer(candidates);
  const [first] = best;
  if (first === undefined) return { kind: "rejected", rejections, why: whyRejected(request, known, rejections) };
  if (best.length > 1) {
    const equal = best.map((candidate) => candidate.recipe);
    return { kind: "ambiguous", recipes: equal, why: whyAmbiguous(equal) };
  }
  // Who names the recipe need not hear why it was not another.
  const others = request.recipe === undefined ? rejections : [];
  const passedOver = others.map((rejection) => `not ${nameOf(rejection)}: ${rejection.why}`);
  return {
    kind: "selected",
    recipe: first.recipe,
    profile: first.profile,
    runtime: first.runtime,
    reasons: [...whyChosen(first, request), ...reasons, ...passedOver],
  };
}

type Considered = Candidate | { readonly rejections: readonly Rejection[] };

interface Place {
  readonly runtime: RuntimeName;
  readonly offer: RuntimeOffer | undefined;
}

function consider(recipe: Recipe, request: SelectRequest, { runtime, offer }: Place): Considered {
  const reject = (why: string) => ({ rejections: [{ recipe: recipe.id, why }] });
  const unwanted = whyUnwanted(recipe, request);
  if (unwanted !== undefined) return reject(unwanted);
  if (offer === undefined) return reject(`it runs on ${runtime}, which is not set up here`);
  if (offer.unavailable !== undefined) return reject(offer.unavailable);
  const supply = offer.knowsGpus ? supplyFrom(offer, recipe) : undefined;
  const fits = ({ gpus }: Profile) => gpus === 0 || !offer.knowsGpus || (supply?.total ?? 0) >= gpus;
  const wanted = recipe.profiles.filter(({ gpus }) => request.gpus === undefined || gpus === request.gpus);
  const choice = chooseProfile(wanted.filter(fits), recipe, request.gpus);
  if (choice !== undefined) return { recipe, runtime, ...choice, supply: choice.profile.gpus > 0 ? supply : undefined };
  return {
    rejections: wanted.map(({ id, gpus }) => ({
      recipe: recipe.id,
      profile: id,
      why: `it needs ${describeNeed(recipe, gpus)}, and this machine has ${describeGpus(offer.gpus, recipe)} to give`,
    })),
  };
}

function supplyFrom(offer: RuntimeOffer, recipe: Recipe): Supply | undefined {
  return offer.supply === undefined ? bestSupply(recipe, offer.gpus) : offer.supply(recipe);
}

/** Why a recipe is not what was asked for. */
function whyUnwanted(recipe: Recipe, request: SelectRequest): string | undefined {
  const { engine, precision, gpus } = request;
  if (request.recipe !== undefined && recipe.id !== request.recipe) return `recipe ${request.recipe} was asked for`;
  if (engine !== undefined && recipe.engine !== engine)
    return `its engine is ${recipe.engine}, and ${engine} was asked for`;
  if (precision !== undefined && recipe.precision !== precision)
    return `its precision is ${recipe.precision ?? "not said"}, and ${precision} was asked for`;
  if (gpus === undefined || recipe.profiles.some((profile) => profile.gpus === gpus)) return undefined;
  return `it has no profile for ${countOf(gpus)}, only for ${recipe.profiles.map((profile) => profile.gpus).join(", ")}`;
}

function chooseProfile(
  fitting: readonly Profile[],
  recipe: Recipe,
  asked: number | undefined,
): Pick<Candidate, "profile" | "reason"> | undefined {
  const usual = fitting.find((profile) => profile.isDefault);
  const profile = usual ?? fitting.at(-1);
  if (profile === undefined) return undefined;
  if (asked !== undefined)
    return { profile, reason: `profile ${profile.id}: ${countOf(asked)} ${asked === 1 ? "was" : "were"} asked for` };
  if (usual !== undefined) return { profile, reason: `profile ${profile.id}: the recipe's default` };
  const missed = recipe.profiles.find(({ isDefault }) => isDefault);
  return {
    profile,
    reason: `profile ${profile.id}: the largest that fits this machine; the default ${missed?.id} does not`,
  };
}

interface Preference {
  readonly best: readonly Candidate[];
  readonly reasons: readonly string[];
}

/** Drops what something else is plainly better than, with the reasons. */
function prefer(candidates: readonly Candidate[]): Preference {
  const [named, general] = split(candidates, namesHardware);
  const pool = named.length > 0 ? named : general;
  const [twins, best] = split(pool, (candidate) => hasVllmTwin(candidate, pool));
  return {
    best,
    reasons: [
      ...(named.length > 0 ? general : []).map(
        ({ recipe }) => `not ${recipe.id}: it is for any hardware, and there is a recipe for this one`,
      ),
      ...twins.map(({ recipe }) => `not ${recipe.id}: where no engine is asked for, vllm is preferred to sglang`),
    ],
  };
}

/** A match of hardware counts only where GPUs are needed and known. */
function namesHardware({ recipe, supply }: Candidate): boolean {
  return supply !== undefined && recipe.hardware.length > 0;
}

/** Whether the same file offers the same model on vLLM. */
function hasVllmTwin({ recipe }: Candidate, pool: readonly Candidate[]): boolean {
  if (recipe.engine !== "sglang") return false;
  return pool.some((other) => other.recipe.file === recipe.file && other.recipe.engine === "vllm");
}

/** What decides between the profiles that fit, and what is free for the chosen one at this moment. */
function whyChosen({ recipe, runtime, reason, supply }: Candidate, request: SelectRequest): string[] {
  const asked = request.recipe === undefined ? "" : ", as asked for";
  const where = recipe.runtime === undefined ? ", the default runtime" : "";
  const reasons = [`recipe ${recipe.id}${asked}, on ${runtime}${where}`, reason];
  if (supply === undefined) return reasons;
  return [...reasons, `${supply.free} of ${supply.total} ${supply.name} are free`];
}

/** Without the model's name, so that models that lack the same thing can be told of together. */
function whyRejected(request: SelectRequest, known: readonly Recipe[], rejections: readonly Rejection[]): string {
  if (known.length === 0) return "it has no recipe";
  const ids = known.map(({ id }) => id);
  if (request.recipe !== undefined && !ids.includes(request.recipe))
    return `it has no recipe ${request.recipe}, only ${listed(ids, "and")}`;
  const about = smallest(rejections).filter(({ recipe }) => request.recipe === undefined || recipe === request.recipe);
  const [only] = about;
  if (about.length === 1 && only !== undefined) return only.why;
  return `none of its recipes can be used: ${about.map(({ recipe, why }) => `${recipe}: ${why}`).join("; ")}`;
}

/** The first rejection of each recipe, which is that of its smallest profile: what that lacks, the others lack too. */
function smallest(rejections: readonly Rejection[]): Rejection[] {
  const byRecipe = Map.groupBy(rejections, ({ recipe }) => recipe);
  return [...byRecipe.values()].flatMap((own) => own.slice(0, 1));
}

function whyAmbiguous(recipes: readonly Recipe[]): string {
  const choices = recipes.map(
    ({ id, precision, engine }) => `${id} (${[precision, engine].filter(Boolean).join(", ")})`,
  );
  const precisions = new Set(recipes.map(({ precision }) => precision));
  const engines = new Set(recipes.map(({ engine }) => engine));
  const ways = [
    ...(precisions.size === recipes.length ? ["--precision"] : []),
    ...(engines.size === recipes.length ? ["--engine"] : []),
    "--recipe",
  ];
  return `it can be served by ${listed(choices, "and")}, which are equally good here; choose with ${listed(ways, "or")}`;
}

function listed(items: readonly string[], conjunction: string): string {
  return items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} ${conjunction} ${items.at(-1)}`;
}

function countOf(gpus: number): string {
  return gpus === 1 ? "1 GPU" : `${gpus} GPUs`;
}

function nameOf({ recipe, profile }: Rejection): string {
  return profile === undefined ? recipe : `${recipe}/${profile}`;
}
