// Composition for `doctor`: what the configuration has examined, within a gateway and without one.
import { totalmem } from "node:os";
import { loadCatalog, type Catalog } from "./catalog/catalog.ts";
import type { Recipe, RuntimeName } from "./catalog/recipe.ts";
import { catalogOptions } from "./compose-settings.ts";
import { isLoopback, type Config } from "./config.ts";
import { systemClock } from "./lib/clock.ts";
import { formatSize } from "./lib/units.ts";
import { DockerClient } from "./runtime/docker/client.ts";
import { examineDocker } from "./runtime/docker/examine.ts";
import type { Check } from "./runtime/driver.ts";
import { ok, problem, problemOf, warning } from "./runtime/findings.ts";
import { examineHost, type HostOptions } from "./runtime/host-checks.ts";

const PROC = "/proc";

/** Everything about this machine and the configuration, without a gateway. Rejects only when the signal aborts. */
export async function examineMachine(config: Config, signal = new AbortController().signal): Promise<readonly Check[]> {
  const { catalog, checks } = await readCatalog(config);
  return [
    ...(await examineSurroundings(config, catalog, signal)),
    ...checks,
    ...(await examineRuntimes(config, catalog?.recipes ?? [], signal)),
  ];
}

/** What no driver sees: the host itself, and what configuration and recipes say. Rejects only when the signal aborts. */
export async function examineSurroundings(
  config: Config,
  catalog: Catalog | undefined,
  signal: AbortSignal,
): Promise<readonly Check[]> {
  const host = {
    procRoot: PROC,
    nodeVersion: process.version,
    folders: [
      { name: "state folder", path: config.stateDir },
      { name: "log folder", path: config.logDir },
    ],
    memoryNeeds: memoryNeeds(config, catalog?.recipes ?? []),
  };
  const recipes = catalog === undefined ? [] : checkRecipes(catalog);
  const sleepers = checkSleepers(config.scheduler.sleepMemory ?? totalmem() / 2, catalog?.recipes ?? []);
  return [...(await examineHost(host, signal)), checkKeys(config), ...recipes, ...sleepers];
}

interface Recipes {
  /** Undefined where they cannot be read. */
  readonly catalog: Catalog | undefined;
  readonly checks: readonly Check[];
}

async function readCatalog(config: Config): Promise<Recipes> {
  try {
    return { catalog: await loadCatalog(config.recipes, catalogOptions(config)), checks: [] };
  } catch (error) {
    return { catalog: undefined, checks: [problemOf("recipes", error, 'correct "recipes" in the configuration')] };
  }
}

/** Docker only where something is to run on it: who runs local processes alone need not have it. */
async function examineRuntimes(
  config: Config,
  recipes: readonly Recipe[],
  signal: AbortSignal,
): Promise<readonly Check[]> {
  if (!recipes.some((recipe) => runtimeOf(recipe, config) === "docker")) return [];
  const { socket, network, sysRoot, devRoot } = config.docker;
  const client = new DockerClient({ socketPath: socket, clock: systemClock });
  const roots = { sysRoot, devRoot, procRoot: PROC };
  try {
    const onNetwork = network === undefined ? {} : { network };
    return await examineDocker({ client, roots, clock: systemClock, ...onNetwork }, signal);
  } finally {
    client.close();
  }
}

function runtimeOf(recipe: Recipe, config: Config): RuntimeName {
  return recipe.runtime ?? config.runtime;
}

function memoryNeeds(config: Config, recipes: readonly Recipe[]): HostOptions["memoryNeeds"] {
  const onGpus = recipes.some(({ profiles }) => profiles.some(({ gpus }) => gpus > 0));
  return [
    ...(onGpus ? [{ what: "the shared memory of one replica (docker.shm)", bytes: config.docker.shm }] : []),
    ...recipes.flatMap(({ id, resources: { memoryBytes: bytes } }) =>
      bytes === undefined ? [] : [{ what: `resources.memory of recipe ${id}`, bytes }],
    ),
  ];
}

function checkKeys({ listen, apiKeys }: Config): Check {
  const address = `${listen.host}:${listen.port}`;
  if (apiKeys.length > 0) return ok("access", `${address}, with ${apiKeys.length === 1 ? "a key" : "keys"}`);
  if (isLoopback(listen.host)) return ok("access", `${address}, from this machine only`);
  const fix = "set apiKeys in the configuration, unless a proxy in front checks callers";
  return warning("access", `everyone who reaches ${address} may use and stop the models`, fix);
}

/** Who finds no room in the memory of the host stays awake, and nothing else would say why. */
function checkSleepers(bytes: number, recipes: readonly Recipe[]): readonly Check[] {
  const room = `sleepers may take ${formatSize(bytes)} of the host's memory together`;
  const fix = "set sleepMemory to what its weights take, let it sleep at level 2, or raise scheduler.sleepMemory";
  return recipes.flatMap(({ id, sleep, profiles }) => {
    if (sleep?.level !== 1 || profiles.every(({ gpus }) => gpus === 0)) return [];
    const { hostMemoryBytes } = sleep;
    if (hostMemoryBytes === undefined)
      return [warning("sleep", `${room}, and ${id} counts with all the memory of its GPUs, without sleepMemory`, fix)];
    if (hostMemoryBytes <= bytes) return [];
    return [warning("sleep", `${room}, and ${id} takes ${formatSize(hostMemoryBytes)}: it never sleeps`, fix)];
  });
}

function checkRecipes({ recipes, problems }: Catalog): readonly Check[] {
  const found = problems.map(({ message }) => problem("recipe", message, "correct the file, then restart the gateway"));
  const models = new Set(recipes.map(({ model }) => model)).size;
  if (recipes.length > 0)
    return [ok("recipes", `${recipes.length}, for ${models} ${models === 1 ? "model" : "models"}`), ...found];
  return found.length > 0 ? found : [problem("recipes", "there are none", 'put one into the folder "recipes" names')];
}
