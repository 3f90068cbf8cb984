// What operators can do to replicas: launch, stop, restart, remove, and read what they wrote. Everything goes through the fleet.
import type { Catalog } from "../../catalog/catalog.ts";
import type { RuntimeName } from "../../catalog/recipe.ts";
import { AimError, isAimError } from "../../errors.ts";
import { deadline, type Clock } from "../../lib/clock.ts";
import { orAborted } from "../../lib/or-aborted.ts";
import { formatDuration } from "../../lib/units.ts";
import type { LogLine, LogOptions, RuntimeDriver } from "../../runtime/driver.ts";
import type { Fleet } from "../fleet.ts";
import { overviewOf, type GpuOverview } from "./gpu-overview.ts";
import { logsOf } from "./kept-logs.ts";
import type { Names } from "./names.ts";
import { gpuNamed, orderOf, type LaunchWish } from "./order-check.ts";
import type { LaunchOrder, OrderResult } from "../fleet/orders.ts";
import { removeRemains } from "./remains.ts";
import { isLeaving, type Replica } from "../replica.ts";
import { orderLike } from "./restart.ts";
import type { ReplicaStatus, Status } from "./status.ts";

export interface OperatorDeps {
  readonly fleet: Fleet;
  readonly catalog: Catalog;
  readonly status: Status;
  readonly names: Names;
  readonly drivers: ReadonlyMap<RuntimeName, RuntimeDriver>;
  readonly clock: Clock;
  /** How long a launch waits for room. */
  readonly maxHoldMs: number;
}

export interface LaunchOutcome {
  readonly replica: ReplicaStatus;
  readonly replicas: readonly ReplicaStatus[];
  /** False when all were there already. */
  readonly created: boolean;
  readonly reasons: readonly string[];
}

export interface StopOptions {
  /** Cut requests in flight instead of letting them finish. */
  readonly force: boolean;
}

export class Operator {
  readonly #deps: OperatorDeps;

  constructor(deps: OperatorDeps) {
    this.#deps = deps;
  }

  /** Ensures that replicas as wished for exist; resolves when their starts have begun, or with those there are. */
  async launch(wish: LaunchWish, signal: AbortSignal): Promise<LaunchOutcome> {
    const { atLeast = 1, ...order } = orderOf(wish, this.#deps);
    const results: OrderResult[] = [];
    for (let count = 1; count <= atLeast; count++) {
      const placed = this.#place(atLeast === 1 ? order : { ...order, atLeast: count }, signal);
      results.push(await placed.catch((error: unknown) => Promise.reject(asFarAs(results, atLeast, error))));
    }
    return this.#outcome(results);
  }

  /** One replica by name, or every replica of a model. Resolves when they are gone. */
  async stop(name: string, options: StopOptions, signal: AbortSignal): Promise<readonly ReplicaStatus[]> {
    const replicas = this.#deps.names.replicas(name);
    this.#forgo(name);
    await this.#takeDown(replicas, { ...options, reason: "an operator stopped it" }, signal);
    return replicas.map((replica) => this.#deps.status.replica(replica));
  }

  /** One replica by name, or every replica of a model, one after the other. What was begun goes on when its caller leaves. */
  async restart(name: string, options: StopOptions, signal: AbortSignal): Promise<LaunchOutcome> {
    const replicas = this.#deps.names.replicas(name);
    if (replicas.length === 0) throw this.#notRunning(name, "launch");
    for (const replica of replicas) orderLike(replica, this.#deps);
    return orAborted(this.#restartAll(replicas, options), signal);
  }

  /** Keeps one replica by name, or every replica of a model, from being evicted or unloaded for being idle; or no longer. */
  pin(name: string, pinned: boolean): readonly ReplicaStatus[] {
    const { names, fleet, status } = this.#deps;
    const replicas = names.replicas(name).filter(({ state }) => !isLeaving(state));
    if (replicas.length === 0) throw this.#notRunning(name, pinned ? "launch --pin" : "launch");
    for (const replica of replicas) fleet.pin(replica, pinned);
    return replicas.map((replica) => status.replica(replica));
  }

  /** What is kept of replicas that no longer run, by name or model: their logs, and the memory of a failed start. */
  async remove(name: string, options: StopOptions, signal: AbortSignal): Promise<readonly string[]> {
    const { names } = this.#deps;
    const replicas = names.isKnown(name) ? names.replicas(name) : [];
    const running = replicas.filter(({ state }) => state !== "failed" && state !== "stopping");
    if (running.length > 0 && !options.force) {
      const list = running.map((replica) => `${replica.name} is ${replica.state}`).join(", ");
      throw new AimError("conflict", `${list}; stop it first, or remove it with --force`);
    }
    this.#forgo(name);
    await this.#takeDown(replicas, { ...options, reason: "an operator removed it" }, signal);
    return removeRemains(name, this.#deps, signal);
  }

  /** Its output, be it running or gone. */
  logs(name: string, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine> {
    return logsOf(name, options, this.#deps, signal);
  }

  /** Ends the quarantine of a GPU, by id or number. Throws `conflict` while a replica holds it. */
  releaseGpu(name: string): GpuOverview {
    const { fleet } = this.#deps;
    const { runtime, gpu, number, holder } = gpuNamed(name, fleet, "id");
    if (holder !== undefined) {
      const message = `GPU ${gpu.id} is held by ${holder.name} (${holder.state})`;
      throw new AimError("conflict", `${message}; it is free again when that is stopped`, { param: "id" });
    }
    fleet.machines.release({ runtime, gpu });
    return overviewOf(gpuNamed(String(number), fleet, "id"));
  }

  /** It need not run again by itself either, where it ought to. */
  #forgo(name: string): void {
    const { catalog, names, fleet } = this.#deps;
    fleet.wanted.forgo(names.plain(name));
    fleet.wanted.forgo(catalog.resolve(name) ?? name);
  }

  #notRunning(name: string, verb: string): AimError {
    const model = this.#deps.names.remains(name)[0]?.model ?? name;
    return new AimError("replica_not_found", `${name} is not running; "aim-engine ${verb} ${model}" starts it`);
  }

  async #restartAll(replicas: readonly Replica[], options: StopOptions): Promise<LaunchOutcome> {
    const results: OrderResult[] = [];
    const never = new AbortController().signal;
    for (const replica of replicas) {
      const order = orderLike(replica, this.#deps);
      await this.#takeDown([replica], { ...options, reason: "an operator restarts it" }, never);
      results.push(await this.#place(order, never));
    }
    return this.#outcome(results);
  }

  /** The stop itself goes on when its caller leaves. */
  async #takeDown(
    replicas: readonly Replica[],
    { reason, force }: StopOptions & { readonly reason: string },
    signal: AbortSignal,
  ): Promise<void> {
    for (const replica of replicas) this.#deps.fleet.stop(replica, "stopped", reason, { force });
    await orAborted(Promise.all(replicas.map((replica) => replica.whenGone)), signal);
  }

  async #place(order: LaunchOrder, signal: AbortSignal): Promise<OrderResult> {
    const { clock, fleet, maxHoldMs } = this.#deps;
    const { model } = order.request;
    const tooLate = () =>
      new AimError(
        "no_capacity",
        `there was no room for ${model} within ${formatDuration(maxHoldMs)}; stop a model that is in use, or wait`,
      );
    const limit = deadline(clock, maxHoldMs, tooLate, signal);
    try {
      return await fleet.order(order, limit.signal);
    } finally {
      limit.done();
    }
  }

  #outcome(results: readonly OrderResult[]): LaunchOutcome {
    const replicas = results.map(({ replica }) => this.#deps.status.replica(replica));
    const [first] = replicas;
    if (first === undefined) throw new Error("nothing was ordered");
    return {
      replica: first,
      replicas,
      created: results.some(({ created }) => created),
      reasons: [...new Set(results.flatMap(({ reasons }) => reasons))],
    };
  }
}

/** Whoever asked for several has to know what he got. */
function asFarAs(results: readonly OrderResult[], wanted: number, error: unknown): Error {
  if (!isAimError(error))
    return error instanceof Error ? error : new Error("the launch was given up", { cause: error });
  if (results.length === 0) return error;
  const names = results.map(({ replica }) => replica.name).join(", ");
  const { code, param, retryAfterMs, data } = error;
  return new AimError(code, `of ${wanted} replicas there are ${results.length} (${names}): ${error.message}`, {
    ...(param === undefined ? {} : { param }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    data,
    cause: error,
  });
}
