// When a model will serve, and what that hangs on: for those who wait and those who look. Reads, never changes.
import type { Clock } from "../lib/clock.ts";
import { formatRoughly } from "../lib/units.ts";
import type { Fleet } from "./fleet.ts";
import type { Estimates } from "./launcher/estimates.ts";
import type { Hold } from "./planner/why.ts";
import type { Replica } from "./replica.ts";
import { describeHold, holdLeftMs, type Then } from "./wait-words.ts";

export class Prospects {
  readonly #fleet: Fleet;
  readonly #estimates: Estimates;
  readonly #clock: Clock;

  constructor(deps: { readonly fleet: Fleet; readonly estimates: Estimates; readonly clock: Clock }) {
    this.#fleet = deps.fleet;
    this.#estimates = deps.estimates;
    this.#clock = deps.clock;
  }

  /** "loading weights 62%, about 40 s left"; undefined when nothing is coming and nothing keeps it from coming. */
  describe(model: string): string | undefined {
    const coming = this.#coming(model);
    if (coming !== undefined) return this.#describeComing(coming);
    const hold = this.#fleet.demand.holdOf(model);
    return hold === undefined ? undefined : describeHold(hold, this.#clock.now(), this.#then(model));
  }

  /** Until it serves: a load or a wake-up under way, or what it waits for and then the load; undefined when that cannot be told. */
  etaMs(model: string): number | undefined {
    const coming = this.#coming(model);
    if (coming !== undefined) return this.#estimates.etaMs(coming);
    const then = this.#then(model);
    return holdLeftMs(this.#fleet.demand.holdOf(model) ?? NO_HOLD, this.#clock.now(), then);
  }

  #describeComing(replica: Replica): string {
    const outlook = this.#estimates.outlook(replica);
    const doing = replica.state === "waking" ? "waking up" : replica.reason;
    switch (outlook.kind) {
      case "left":
        return `${doing}, about ${formatRoughly(outlook.ms)} left`;
      case "overdue":
        return `${doing}, longer than any ${replica.state === "waking" ? "time" : "start"} before`;
      case "unknown":
        return doing;
    }
  }

  #then(model: string): Then {
    const asleep = this.#fleet.replicas.ofModel(model).find(({ state }) => state === "sleeping" || state === "dozing");
    if (asleep === undefined) return { doing: "loading", ms: this.#estimates.usualLoadOfModel(model) };
    return { doing: "waking", ms: this.#estimates.usualWakeMs(asleep) };
  }

  /** One that wakes up is there before one that loads; of those that load, the one that began first. */
  #coming(model: string): Replica | undefined {
    const replicas = this.#fleet.replicas.ofModel(model);
    return replicas.find(({ state }) => state === "waking") ?? replicas.find((replica) => replica.isStarting);
  }
}

const NO_HOLD: Hold = { why: "starting", text: "" };
