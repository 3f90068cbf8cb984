// Which replicas an operator means by a name, and what is said of one that means nothing.
import type { Catalog } from "../../catalog/catalog.ts";
import { AimError } from "../../errors.ts";
import type { Fleet } from "../fleet.ts";
import type { Replica } from "../replica.ts";
import type { Remains } from "../fleet/roster.ts";

export interface NamesDeps {
  readonly fleet: Fleet;
  readonly catalog: Catalog;
  /** Containers are called INSTALLATION-REPLICA; operators may use that name too. */
  readonly installation: string;
}

export class Names {
  readonly #deps: NamesDeps;

  constructor(deps: NamesDeps) {
    this.#deps = deps;
  }

  /** One replica by its own name or its container's; undefined when there is none. */
  replica(name: string): Replica | undefined {
    const { replicas } = this.#deps.fleet;
    return replicas.find(name) ?? replicas.find(this.plain(name));
  }

  /** One replica by name, or every replica of a model by id or alias: none, where they are gone. Throws when the name means nothing. */
  replicas(name: string): readonly Replica[] {
    const replica = this.replica(name);
    if (replica !== undefined) return [replica];
    const model = this.#deps.catalog.resolve(name);
    if (model !== undefined) return this.#deps.fleet.replicas.ofModel(model);
    if (this.remains(name).length > 0) return [];
    throw this.unknown(name, "replica_not_found");
  }

  /** Whether it is the name of a replica there is, or of a model. */
  isKnown(name: string): boolean {
    return this.replica(name) !== undefined || this.#deps.catalog.resolve(name) !== undefined;
  }

  /** What is remembered of replicas that are gone, by name or model; the newest first. */
  remains(name: string): readonly Remains[] {
    const { fleet, catalog } = this.#deps;
    const remains = fleet.replicas.remains(name) ?? fleet.replicas.remains(this.plain(name));
    if (remains !== undefined) return [remains];
    const model = catalog.resolve(name);
    return model === undefined ? [] : fleet.replicas.remainsOf(model);
  }

  /** A replica's own name, where that of its container is given. */
  plain(name: string): string {
    const prefix = `${this.#deps.installation}-`;
    return name.startsWith(prefix) ? name.slice(prefix.length) : name;
  }

  unknown(name: string, code: "model_not_found" | "replica_not_found"): AimError {
    const { fleet, catalog } = this.#deps;
    const nearest = catalog.nearest(name);
    const hint = nearest === undefined ? "" : `; did you mean ${nearest}?`;
    if (code === "model_not_found") {
      const message = `there is no model ${name}${hint} ("aim-engine models" lists them)`;
      return new AimError(code, message, { param: "model" });
    }
    const running = fleet.replicas.all().map((one) => one.name);
    const list = running.length === 0 ? "nothing is running" : `running are ${running.join(", ")}`;
    return new AimError(code, `there is no replica or model ${name}${hint} (${list})`);
  }
}
