// What operators can look at: what a launch would do, and everything that is known of a replica, a model or a recipe. Changes nothing.
import type { Catalog } from "../../catalog/catalog.ts";
import { engineArgv } from "../../catalog/engine-argv.ts";
import {
  HOST_PLACEHOLDER,
  imageFor,
  PORT_PLACEHOLDER,
  toLaunchSpec,
  type LaunchDefaults,
  type LaunchSpec,
} from "../../catalog/launch-spec.ts";
import type { Mount, Profile, Recipe, RuntimeName } from "../../catalog/recipe.ts";
import { isAimError } from "../../errors.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Check, RuntimeDriver } from "../../runtime/driver.ts";
import { examineAll } from "./examine.ts";
import { explain, type Explanation } from "../explain.ts";
import type { Fleet } from "../fleet.ts";
import { measureReplicas, type Measurement } from "./measure.ts";
import { gpuKindOf } from "../launcher/gpu-kind.ts";
import type { Names } from "./names.ts";
import { orderOf, type LaunchWish } from "./order-check.ts";
import type { Replica } from "../replica.ts";
import { maskArgv, maskEnv } from "./mask.ts";
import type { ModelStatus, RecipeStatus, ReplicaStatus, Status } from "./status.ts";

export interface InspectorDeps {
  readonly fleet: Fleet;
  readonly catalog: Catalog;
  readonly status: Status;
  readonly names: Names;
  readonly drivers: ReadonlyMap<RuntimeName, RuntimeDriver>;
  readonly clock: Clock;
  readonly installation: string;
  readonly defaults: LaunchDefaults;
  readonly defaultRuntime: RuntimeName;
  /** Where the output of replicas is kept, as `<replica>.log`. */
  readonly logDir?: string | undefined;
}

/** What would be run, beside why. */
export interface FullExplanation extends Explanation {
  readonly image?: string;
  readonly argv?: readonly string[];
}

export type Shown =
  | { readonly kind: "replica"; readonly replica: ReplicaStatus; readonly details: ReplicaDetails }
  | { readonly kind: "model"; readonly model: ModelStatus; readonly recipes: readonly RecipeDetails[] };

export interface ReplicaDetails {
  readonly image?: string;
  readonly imageId?: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly mounts: readonly string[];
  readonly phases: readonly { readonly phase: string; readonly seconds: number }[];
  readonly logFile?: string;
}

export interface RecipeDetails extends RecipeStatus {
  readonly image?: string;
  readonly argv: Readonly<Record<string, readonly string[]>>;
}

export class Inspector {
  readonly #deps: InspectorDeps;

  constructor(deps: InspectorDeps) {
    this.#deps = deps;
  }

  /** What a launch, or a request, of this kind would do now, and why. */
  explain(wish: LaunchWish): FullExplanation {
    const { fleet, catalog, clock } = this.#deps;
    const order = orderOf(wish, this.#deps);
    const explanation = explain(fleet.snapshot(), clock.now(), order);
    const recipe = catalog.recipe(explanation.recipe ?? "");
    const profile = recipe?.profiles.find(({ id }) => id === explanation.profile);
    if (recipe === undefined || profile === undefined) return explanation;
    const { flags, name = `${recipe.id}-1` } = order;
    const { gpus, runtime = this.#runtimeOf(recipe) } = explanation;
    return this.#withCommand(explanation, { replica: name, recipe, profile, runtime, gpus, ...(flags && { flags }) });
  }

  /** Of a replica, a model or a recipe, by name. Throws when the name means nothing. */
  show(name: string): Shown {
    const { status, names, catalog } = this.#deps;
    const replica = names.replica(name);
    if (replica !== undefined) {
      return { kind: "replica", replica: status.replica(replica), details: this.#detailsOf(replica) };
    }
    const recipe = catalog.resolve(name) === undefined ? catalog.recipe(name) : undefined;
    const id = recipe?.model ?? catalog.resolve(name);
    const model = status.models().find((one) => one.model === id);
    if (model === undefined) throw names.unknown(name, "replica_not_found");
    const recipes = recipe === undefined ? catalog.recipesFor(model.model) : [recipe];
    return { kind: "model", model, recipes: recipes.map((one) => this.#recipeDetails(one)) };
  }

  /** What every replica that serves uses. */
  stats(signal: AbortSignal): Promise<readonly Measurement[]> {
    return measureReplicas(this.#deps, signal);
  }

  /** What could keep replicas from running well on this machine. */
  examine(signal: AbortSignal): Promise<readonly Check[]> {
    return examineAll(this.#deps, signal);
  }

  /** A launch that no command line can be made for would fail as soon as it was tried. */
  #withCommand(explanation: Explanation, launch: Launch): FullExplanation {
    try {
      const { image, argv } = this.#specOf(launch);
      return { ...explanation, ...(image === undefined ? {} : { image }), argv: maskArgv(argv) };
    } catch (error) {
      if (!isAimError(error, "invalid_recipe")) throw error;
      return { ...explanation, verdict: "refused", summary: error.message, gpus: [], evicts: [] };
    }
  }

  #detailsOf(replica: Replica): ReplicaDetails {
    const { logDir, clock } = this.#deps;
    const spec = this.#presentSpec(replica);
    const image = replica.image ?? spec?.image;
    return {
      ...(image === undefined ? {} : { image }),
      ...(replica.imageId === undefined ? {} : { imageId: replica.imageId }),
      argv: maskArgv(spec?.argv ?? []),
      env: maskEnv(spec?.env ?? {}),
      mounts: (spec?.mounts ?? []).map(mountText),
      phases: replica.progress.times(clock.now()).map(({ phase, ms }) => ({ phase, seconds: Math.round(ms) / 1000 })),
      ...(logDir === undefined ? {} : { logFile: `${logDir}/${replica.name}.log` }),
    };
  }

  /** As it runs. Undefined where the recipe has changed since it was started: what it says now is not what runs. */
  #presentSpec({ name, recipe, profile, identity, address }: Replica): LaunchSpec | undefined {
    if (recipe === undefined || profile === undefined || recipe.hash !== identity.recipeHash) return undefined;
    const { runtime, gpus, flags } = identity;
    const spec = this.#specOf({ replica: name, recipe, profile, runtime, gpus, ...(flags && { flags }) });
    const filled = (text: string) => fillIn(text, { runtime, network: spec.network, address });
    const env = Object.entries(spec.env).map(([key, value]) => [key, filled(value)] as const);
    return { ...spec, argv: spec.argv.map(filled), env: Object.fromEntries(env) };
  }

  #specOf(launch: Launch): LaunchSpec {
    const { installation, defaults, fleet } = this.#deps;
    const gpuKind = gpuKindOf(fleet.machines.runtimes.get(launch.runtime)?.gpus ?? [], launch.gpus);
    return toLaunchSpec({ ...launch, installation, defaults, ...(gpuKind && { gpuKind }) });
  }

  #recipeDetails(recipe: Recipe): RecipeDetails {
    const { status, defaults } = this.#deps;
    const runtime = this.#runtimeOf(recipe);
    const isNamed = (recipe.image ?? defaults.images[recipe.engine]) !== undefined;
    const image = isNamed ? imageFor(recipe, runtime, defaults) : undefined;
    const argv = recipe.profiles.map((profile) => {
      const command = engineArgv({ recipe, profile, runtime, self: defaults.self });
      return [profile.id, maskArgv(command)] as const;
    });
    return { ...status.recipe(recipe), ...(image === undefined ? {} : { image }), argv: Object.fromEntries(argv) };
  }

  #runtimeOf(recipe: Recipe): RuntimeName {
    return recipe.runtime ?? this.#deps.defaultRuntime;
  }
}

interface Launch {
  readonly replica: string;
  readonly recipe: Recipe;
  readonly profile: Profile;
  readonly runtime: RuntimeName;
  readonly gpus: readonly string[];
  readonly flags?: readonly string[];
}

/** In a container with a network of its own, as the Docker driver makes it. */
const IN_CONTAINER = new URL("http://0.0.0.0:8000");

interface Place extends Pick<LaunchSpec, "network"> {
  readonly runtime: RuntimeName;
  readonly address: URL | undefined;
}

/** With host and port of a replica in their places, as far as they are known. */
export function fillIn(text: string, { runtime, network, address }: Place): string {
  const listener = runtime === "process" || network === "host" ? address : IN_CONTAINER;
  if (listener === undefined) return text;
  return text.replaceAll(HOST_PLACEHOLDER, listener.hostname).replaceAll(PORT_PLACEHOLDER, listener.port);
}

function mountText({ source, target, readOnly }: Mount): string {
  return `${source}:${target}${readOnly ? ":ro" : ""}`;
}
