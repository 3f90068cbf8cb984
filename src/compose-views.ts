// The control plane in the shapes that the data plane and the admin API ask for.
import type { CheckView, ControlView } from "./admin/view.ts";
import type { Catalog } from "./catalog/catalog.ts";
import { maxModelLenOf, type Recipe, type Timeouts } from "./catalog/recipe.ts";
import { timeoutsOf } from "./catalog/timeouts.ts";
import type { ControlPlane } from "./control/plane.ts";
import type { Status } from "./control/operations/status.ts";
import type { ResolvedModel } from "./gateway/deps.ts";
import type { ModelCard, ModelDirectory } from "./gateway/pool.ts";
import type { Clock } from "./lib/clock.ts";

/** `surroundings` looks at what no runtime sees: the host and the configuration. */
export function controlView(
  { status, operator, inspector, pulls }: ControlPlane,
  surroundings: (signal: AbortSignal) => Promise<readonly CheckView[]>,
): ControlView {
  return {
    models: () => status.models(),
    recipes: () => status.recipes(),
    replicas: () => status.replicas(),
    gpus: () => status.gpus(),
    runtimes: () => status.runtimes(),
    problems: () => status.problems(),
    launch: (request, signal) => operator.launch(request, signal),
    stop: (name, options, signal) => operator.stop(name, options, signal),
    restart: (name, options, signal) => operator.restart(name, options, signal),
    pin: (name, pinned) => operator.pin(name, pinned),
    remove: (name, options, signal) => operator.remove(name, options, signal),
    releaseGpu: (id) => operator.releaseGpu(id),
    explain: (request) => inspector.explain(request),
    show: (name) => inspector.show(name),
    stats: (signal) => inspector.stats(signal),
    examine: async (signal) => (await Promise.all([surroundings(signal), inspector.examine(signal)])).flat(),
    pull: (name, signal) => pulls.pull(name, signal),
    logs: (name, options, signal) => operator.logs(name, options, signal),
  };
}

/** From the names that clients use to models, and the limits of their requests; made once, for it is asked by each request. */
export function modelResolver(catalog: Catalog, defaults: Timeouts): (name: string) => ResolvedModel | undefined {
  const models = new Map(
    catalog.models().map(({ model }) => {
      const timeouts = timeoutsOf(catalog.recipesFor(model), defaults);
      return [model, timeouts === undefined ? { model } : { model, timeouts }];
    }),
  );
  return (name) => models.get(catalog.resolve(name) ?? "");
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
