// What replicas wrote, running or not: from the runtime, which keeps it for a while; else the last lines of a failed start.
import type { Catalog } from "../../catalog/catalog.ts";
import type { RuntimeName } from "../../catalog/recipe.ts";
import { RECIPE_ID } from "../../catalog/recipe-schema.ts";
import { AimError } from "../../errors.ts";
import type { BackendRef, LogLine, LogOptions, RuntimeDriver } from "../../runtime/driver.ts";
import type { Fleet } from "../fleet.ts";
import type { Names } from "./names.ts";
import type { Replica } from "../replica.ts";

export interface LogDeps {
  readonly fleet: Fleet;
  readonly catalog: Catalog;
  readonly names: Names;
  readonly drivers: ReadonlyMap<RuntimeName, RuntimeDriver>;
}

/** Where to look for what a replica wrote that is gone. */
interface Kept {
  readonly ref: BackendRef;
  readonly drivers: readonly RuntimeDriver[];
  /** Of its last start, where that failed. */
  readonly lastLines: readonly string[];
  /** What is said when nothing is found. */
  readonly nothing: AimError;
}

/** Names nothing in any runtime, so that what is kept under the replica's name is all that can be found. */
const NOTHING_RUNS = "0".repeat(64);

/** Of a replica, running or gone, by name, or of a model. Throws, or rejects, where there is nothing to show. */
export function logsOf(name: string, options: LogOptions, deps: LogDeps, signal: AbortSignal): AsyncIterable<LogLine> {
  const live = livingOne(name, deps);
  const driver = live === undefined ? undefined : deps.drivers.get(live.identity.runtime);
  if (live?.ref !== undefined && driver !== undefined) return driver.logs(live.ref, options, signal);
  if (live !== undefined) {
    const message = `${live.name} is ${live.state} and has no output yet; try again in a moment`;
    throw new AimError("replica_not_found", message);
  }
  return keptLines(keptOf(name, deps), options, signal);
}

/** Of a model's replicas, one that has something to say. */
function livingOne(name: string, { fleet, catalog, names }: LogDeps): Replica | undefined {
  const model = catalog.resolve(name);
  const replicas = model === undefined ? [] : fleet.replicas.ofModel(model);
  return names.replica(name) ?? replicas.find(({ ref }) => ref !== undefined) ?? replicas[0];
}

/** After a restart of the gateway nothing is remembered, but what was written is still there under its name. */
function keptOf(name: string, deps: LogDeps): Kept {
  const { names, drivers, catalog } = deps;
  const plain = names.plain(name);
  const [newest] = names.remains(name);
  const isKnown = newest !== undefined || catalog.resolve(name) !== undefined;
  const mayHaveBeen = !isKnown && RECIPE_ID.test(plain) ? [...drivers.values()] : [];
  const itsOwn = newest === undefined ? undefined : drivers.get(newest.runtime);
  return {
    ref: newest?.ref ?? { id: NOTHING_RUNS, name: newest?.name ?? plain },
    drivers: itsOwn === undefined ? mayHaveBeen : [itsOwn],
    lastLines: lastLinesOf(name, deps),
    nothing: isKnown ? nothingKept(name) : names.unknown(name, "replica_not_found"),
  };
}

async function* keptLines(kept: Kept, options: LogOptions, signal: AbortSignal): AsyncGenerator<LogLine> {
  for (const driver of kept.drivers) {
    let found = false;
    for await (const line of driver.logs(kept.ref, options, signal)) {
      found = true;
      yield line;
    }
    if (found || signal.aborted) return;
  }
  if (kept.lastLines.length === 0) throw kept.nothing;
  const lines = options.tail === 0 ? [] : kept.lastLines.slice(-options.tail);
  for (const text of lines) yield { text, stream: "stderr" };
}

/** What the last failed start said, by model, alias or name of the replica. */
function lastLinesOf(name: string, { fleet, catalog, names }: LogDeps): readonly string[] {
  const plain = names.plain(name);
  const recipeId = names.remains(name)[0]?.recipeId ?? plain.replace(/-\d+$/, "");
  const model = catalog.resolve(name) ?? catalog.recipe(recipeId)?.model;
  const recipes = model === undefined ? [] : catalog.recipesFor(model);
  const failures = recipes.flatMap((recipe) => fleet.lastFailure(recipe.id) ?? []);
  return failures.find((failure) => failure.lastLines.length > 0)?.lastLines ?? [];
}

function nothingKept(name: string): AimError {
  return new AimError(
    "replica_not_found",
    `no replica of ${name} is running and no output of one is kept; "aim-engine ps" lists what runs`,
  );
}
