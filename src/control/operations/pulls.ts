// Fetching images ahead of a start: which image a name means, and how far it is.
import type { Catalog } from "../../catalog/catalog.ts";
import { imageFor, type LaunchDefaults } from "../../catalog/launch-spec.ts";
import { fromRegistry } from "../../catalog/image.ts";
import type { Recipe, RuntimeName } from "../../catalog/recipe.ts";
import { select } from "../../catalog/select.ts";
import { AimError } from "../../errors.ts";
import { reportsOf } from "../../lib/reports.ts";
import type { PullProgress, RuntimeDriver } from "../../runtime/driver.ts";
import type { Fleet } from "../fleet.ts";
import { offersOf } from "../planner/ledger.ts";
import type { Names } from "./names.ts";
import { toPullReport, type PullReport } from "./pull-report.ts";

export interface PullDeps {
  readonly fleet: Fleet;
  readonly catalog: Catalog;
  readonly names: Names;
  readonly drivers: ReadonlyMap<RuntimeName, RuntimeDriver>;
  readonly defaults: LaunchDefaults;
  readonly defaultRuntime: RuntimeName;
}

/** An image, and the runtime that is to have it. */
interface Wanted {
  readonly image: string;
  readonly runtime: RuntimeName;
}

/** Only images that recipes or config.yaml name: this is no way to bring any other onto the machine. */
export class Pulls {
  readonly #deps: PullDeps;

  constructor(deps: PullDeps) {
    this.#deps = deps;
  }

  /** The image of a model, by its id or alias, or of a recipe; or an image by its name. Ends with `done`. */
  async *pull(name: string, signal: AbortSignal): AsyncGenerator<PullReport> {
    const { image, runtime } = this.#wanted(name);
    const driver = this.#deps.drivers.get(runtime);
    if (driver === undefined) throw new AimError("runtime_unavailable", `runtime ${runtime} is not configured`);
    const pull = driver.pull?.bind(driver);
    if (pull === undefined) throw nothingToPull(name, runtime);
    const reports = reportsOf<PullProgress>((report, either) => pull(image, report, either), signal);
    for await (const progress of reports) yield toPullReport(image, progress);
    yield { kind: "done", image };
  }

  #wanted(name: string): Wanted {
    const { catalog, names } = this.#deps;
    const model = catalog.resolve(name);
    if (model !== undefined) return this.#ofModel(model);
    const recipe = catalog.recipe(name);
    if (recipe !== undefined) return this.#ofRecipe(recipe);
    const found = this.#known().find(({ image }) => image === name || image.endsWith(`/${name}`));
    if (found !== undefined) return found;
    const { message } = names.unknown(name, "model_not_found");
    throw new AimError("model_not_found", `${message}, nor does a recipe or config.yaml name such an image`, {
      param: "name",
    });
  }

  /** Of the recipe that a request would start; where that cannot be told, they have to agree. */
  #ofModel(model: string): Wanted {
    const { catalog, fleet, defaultRuntime } = this.#deps;
    const snapshot = fleet.snapshot();
    const recipes = catalog.recipesFor(model);
    const selection = select(recipes, { model }, offersOf(snapshot), defaultRuntime);
    if (selection.kind === "selected") return this.#ofRecipe(selection.recipe);
    const [first, ...others] = recipes.map((recipe) => this.#ofRecipe(recipe));
    if (first !== undefined && others.every(({ image }) => image === first.image)) return first;
    const list = recipes.map(({ id }) => id).join(", ");
    throw new AimError("invalid_value", `the recipes of ${model} need different images; name one of ${list}`, {
      param: "name",
    });
  }

  #ofRecipe(recipe: Recipe): Wanted {
    const runtime = recipe.runtime ?? this.#deps.defaultRuntime;
    const image = imageFor(recipe, runtime, this.#deps.defaults);
    if (image === undefined) throw nothingToPull(recipe.id, runtime);
    return { image, runtime };
  }

  /** With the registry that they come from. */
  #known(): readonly Wanted[] {
    const { catalog, defaultRuntime, defaults } = this.#deps;
    const usual = defaultRuntime === "process" ? "docker" : defaultRuntime;
    const ofConfig = Object.values(defaults.images).map((image) => ({ image, runtime: usual }));
    const ofRecipes = catalog.recipes.flatMap(({ image, runtime = usual }) =>
      image === undefined ? [] : [{ image, runtime }],
    );
    return [...ofRecipes, ...ofConfig].map(({ image, runtime }) => ({
      image: fromRegistry(image, defaults.registry),
      runtime,
    }));
  }
}

function nothingToPull(name: string, runtime: RuntimeName): AimError {
  return new AimError("invalid_value", `${name} runs on the ${runtime} runtime, which has no images`, {
    param: "name",
  });
}
