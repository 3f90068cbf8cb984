// The control plane in the shapes that the data plane and the admin API ask for.
import type { ControlView } from "./admin/view.ts";
import type { Catalog } from "./catalog/catalog.ts";
import { maxModelLenOf, type Recipe } from "./catalog/recipe.ts";
import type { ControlPlane } from "./control/plane.ts";
import type { Status } from "./control/status.ts";
import type { ModelCard, ModelDirectory } from "./gateway/pool.ts";
import type { Clock } from "./lib/clock.ts";

export function controlView({ status, operator }: ControlPlane): ControlView {
  return {
    models: () => status.models(),
    recipes: () => status.recipes(),
    replicas: () => status.replicas(),
    gpus: () => status.gpus(),
    runtimes: () => status.runtimes(),
    problems: () => status.problems(),
    launch: (request, signal) => operator.launch(request, signal),
    stop: (name, options, signal) => operator.stop(name, options, signal),
    logs: (name, options, signal) => operator.logs(name, options, signal),
  };
}

export function modelDirectory(catalog: Catalog, status: Status, clock: Clock): ModelDirectory {
  const createdAt = Math.floor(clock.wallNow() / 1000);
  const list = (): readonly ModelCard[] =>
    status.models().map(({ model, aliases, status: state, publicReason }) => ({
      id: model,
      aliases,
      status: state,
      createdAt,
      ...contextLength(catalog.recipesFor(model)),
      ...(publicReason === undefined ? {} : { reason: publicReason }),
    }));
  return { list, find: (name) => list().find((card) => card.id === catalog.resolve(name)) };
}

/** Only where all recipes of a model agree: which of them will serve is decided later. */
function contextLength(recipes: readonly Recipe[]): { readonly maxModelLen?: number } {
  const lengths = new Set(recipes.map(maxModelLenOf));
  const [maxModelLen] = lengths;
  return lengths.size === 1 && maxModelLen !== undefined ? { maxModelLen } : {};
}
