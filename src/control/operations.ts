// Everything that operators can ask for, wired: what changes something, what only looks, and what is fetched ahead.
import type { Catalog } from "../catalog/catalog.ts";
import type { LaunchDefaults } from "../catalog/launch-spec.ts";
import type { RuntimeName } from "../catalog/recipe.ts";
import type { Clock } from "../lib/clock.ts";
import type { RuntimeDriver } from "../runtime/driver.ts";
import type { Fleet } from "./fleet.ts";
import { Inspector } from "./operations/inspect.ts";
import { Names } from "./operations/names.ts";
import { Operator } from "./operations/operator.ts";
import { Pulls } from "./operations/pulls.ts";
import type { Status } from "./operations/status.ts";

export interface Operations {
  readonly operator: Operator;
  readonly inspector: Inspector;
  readonly pulls: Pulls;
}

export interface OperationSettings {
  readonly installation: string;
  readonly launch: LaunchDefaults;
  /** How long a launch waits for room. */
  readonly maxHoldMs: number;
  readonly defaultRuntime: RuntimeName;
  /** Where the output of replicas is kept, as `<replica>.log`. */
  readonly logDir?: string;
}

export interface OperationsDeps {
  readonly fleet: Fleet;
  readonly catalog: Catalog;
  readonly status: Status;
  readonly drivers: ReadonlyMap<RuntimeName, RuntimeDriver>;
  readonly clock: Clock;
  readonly settings: OperationSettings;
}

export function createOperations({ settings, ...deps }: OperationsDeps): Operations {
  const { installation, launch: defaults, maxHoldMs, defaultRuntime, logDir } = settings;
  const names = new Names({ fleet: deps.fleet, catalog: deps.catalog, installation });
  return {
    operator: new Operator({ ...deps, names, maxHoldMs }),
    inspector: new Inspector({ ...deps, names, installation, defaults, defaultRuntime, logDir }),
    pulls: new Pulls({ ...deps, names, defaults, defaultRuntime }),
  };
}
