// What operators can ask for: launch, stop, logs. Everything goes through the fleet; nothing here touches a runtime but to read.
import type { Catalog } from "../catalog/catalog.ts";
import { ENGINES, PRECISIONS, type RuntimeName } from "../catalog/recipe.ts";
import type { SelectRequest } from "../catalog/select.ts";
import { AimError } from "../errors.ts";
import { deadline, type Clock } from "../lib/clock.ts";
import { orAborted } from "../lib/or-aborted.ts";
import { formatDuration } from "../lib/units.ts";
import type { LogLine, LogOptions, RuntimeDriver } from "../runtime/driver.ts";
import type { Fleet } from "./fleet.ts";
import type { Replica } from "./replica.ts";
import type { ReplicaStatus, Status } from "./status.ts";

export interface OperatorDeps {
  readonly fleet: Fleet;
  readonly catalog: Catalog;
  readonly status: Status;
  readonly drivers: ReadonlyMap<RuntimeName, RuntimeDriver>;
  readonly clock: Clock;
  /** Containers are called INSTALLATION-REPLICA; operators may use that name too. */
  readonly installation: string;
  /** How long a launch waits for room. */
  readonly maxHoldMs: number;
}

/** A launch as it arrives: names are checked here. */
export interface LaunchWish {
  readonly model: string;
  readonly recipe?: string;
  readonly gpus?: number;
  readonly precision?: string;
  readonly engine?: string;
  readonly keepAliveMs?: number;
}

export class Operator {
  readonly #deps: OperatorDeps;

  constructor(deps: OperatorDeps) {
    this.#deps = deps;
  }

  /** Ensures that a replica as wished for exists; resolves when its start has begun, or with the one there is. */
  async launch(
    wish: LaunchWish,
    signal: AbortSignal,
  ): Promise<{
    readonly replica: ReplicaStatus;
    readonly created: boolean;
    readonly reasons: readonly string[];
  }> {
    const { fleet, status, clock, maxHoldMs } = this.#deps;
    const request = this.#checked(wish);
    const keepAlive = wish.keepAliveMs === undefined ? {} : { keepAliveMs: wish.keepAliveMs };
    const tooLate = () =>
      new AimError(
        "no_capacity",
        `there was no room for ${request.model} within ${formatDuration(maxHoldMs)}; stop a model that is in use, or wait`,
      );
    const limit = deadline(clock, maxHoldMs, tooLate, signal);
    try {
      const { replica, created, reasons } = await fleet.order({ request, ...keepAlive }, limit.signal);
      return { replica: status.replica(replica), created, reasons };
    } finally {
      limit.done();
    }
  }

  /** One replica by name, or every replica of a model. Resolves when they are gone. */
  async stop(
    name: string,
    options: { readonly force: boolean },
    signal: AbortSignal,
  ): Promise<readonly ReplicaStatus[]> {
    const { fleet, status } = this.#deps;
    const replicas = this.#named(name);
    for (const replica of replicas) fleet.stop(replica, "stopped", "an operator stopped it", options);
    // The stop itself goes on when its caller leaves.
    await orAborted(Promise.all(replicas.map((replica) => replica.whenGone)), signal);
    return replicas.map((replica) => status.replica(replica));
  }

  /** Its output; of one that failed and is gone, the last lines it wrote. */
  logs(name: string, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine> {
    const lastLines = this.#lastLinesOf(name);
    const replica = lastLines === undefined ? this.#named(name)[0] : undefined;
    if (lastLines !== undefined) return linesOf(options.tail === 0 ? [] : lastLines.slice(-options.tail));
    if (replica === undefined) throw notRunning(name);
    const driver = this.#deps.drivers.get(replica.identity.runtime);
    if (replica.ref === undefined || driver === undefined) {
      throw new AimError(
        "replica_not_found",
        `${replica.name} is ${replica.state} and has no output yet; try again in a moment`,
      );
    }
    return driver.logs(replica.ref, options, signal);
  }

  /** What the last failed start said, by model, alias or name of the replica, when nothing of it runs any more. */
  #lastLinesOf(name: string): readonly string[] | undefined {
    const { fleet, catalog } = this.#deps;
    const model = catalog.resolve(name) ?? catalog.recipe(name.replace(/-\d+$/, ""))?.model;
    if (model === undefined || fleet.replicas.ofModel(model).length > 0) return undefined;
    const failures = catalog.recipesFor(model).flatMap((recipe) => fleet.lastFailure(recipe.id) ?? []);
    return failures.find((failure) => failure.lastLines.length > 0)?.lastLines;
  }

  #checked(wish: LaunchWish): SelectRequest {
    const { catalog } = this.#deps;
    const model = catalog.resolve(wish.model);
    if (model === undefined) throw this.#unknown(wish.model, "model_not_found");
    if (wish.recipe !== undefined && catalog.recipe(wish.recipe)?.model !== model) {
      const known = catalog.recipesFor(model).map((recipe) => recipe.id);
      throw new AimError("invalid_value", `${wish.recipe} is no recipe of ${model}; there are ${known.join(", ")}`, {
        param: "recipe",
      });
    }
    return {
      model,
      ...(wish.recipe === undefined ? {} : { recipe: wish.recipe }),
      ...(wish.gpus === undefined ? {} : { gpus: wish.gpus }),
      ...(wish.precision === undefined ? {} : { precision: oneOf(PRECISIONS, wish.precision, "precision") }),
      ...(wish.engine === undefined ? {} : { engine: oneOf(ENGINES, wish.engine, "engine") }),
    };
  }

  #named(name: string): readonly Replica[] {
    const { fleet, catalog, installation } = this.#deps;
    const prefix = `${installation}-`;
    const replica =
      fleet.replicas.find(name) ?? fleet.replicas.find(name.startsWith(prefix) ? name.slice(prefix.length) : "");
    if (replica !== undefined) return [replica];
    const model = catalog.resolve(name);
    if (model !== undefined) return fleet.replicas.ofModel(model);
    throw this.#unknown(name, "replica_not_found");
  }

  #unknown(name: string, code: "model_not_found" | "replica_not_found"): AimError {
    const { fleet, catalog } = this.#deps;
    const nearest = catalog.nearest(name);
    const hint = nearest === undefined ? "" : `; did you mean ${nearest}?`;
    if (code === "model_not_found") {
      return new AimError(code, `there is no model ${name}${hint} ("aim-engine models" lists them)`, {
        param: "model",
      });
    }
    const running = fleet.replicas.all().map((one) => one.name);
    const list = running.length === 0 ? "nothing is running" : `running are ${running.join(", ")}`;
    return new AimError(code, `there is no replica or model ${name}${hint} (${list})`);
  }
}

async function* linesOf(lines: readonly string[]): AsyncIterable<LogLine> {
  for (const text of lines) yield { text, stream: "stderr" };
}

function notRunning(name: string): AimError {
  return new AimError(
    "replica_not_found",
    `no replica of ${name} is running, so there is no output to show; "aim-engine ps" lists what runs`,
  );
}

function oneOf<T extends string>(known: readonly T[], text: string, param: string): T {
  const found = known.find((one) => one === text);
  if (found === undefined)
    throw new AimError("invalid_value", `${param} "${text}" is unknown; it is one of ${known.join(", ")}`, {
      param,
    });
  return found;
}
