// Carries out one start: asks the driver, follows the phases, waits until the replica answers. Ends in `ready` or `failed`,
// or, when its signal aborts, in whatever state somebody else decided on.
import { toLaunchSpec, type LaunchDefaults, type LaunchSpec, type Readiness } from "../catalog/launch-spec.ts";
import type { RuntimeName } from "../catalog/recipe.ts";
import { AimError, isAimError, messageOf } from "../errors.ts";
import { deadline, type Clock } from "../lib/clock.ts";
import { formatDuration } from "../lib/units.ts";
import type { ReplicaExit, RuntimeDriver, StartPhase } from "../runtime/driver.ts";
import type { Estimates } from "./estimates.ts";
import type { ReplicaFailure } from "./failures.ts";
import type { Fleet } from "./fleet.ts";
import type { Replica } from "./replica.ts";

export interface LauncherDeps {
  readonly clock: Clock;
  readonly fleet: Fleet;
  readonly drivers: ReadonlyMap<RuntimeName, RuntimeDriver>;
  readonly installation: string;
  readonly defaults: LaunchDefaults;
  readonly estimates: Estimates;
  /** Resolves when the replica answers as it should; rejects when the signal aborts. */
  awaitReady(address: URL, readiness: Readiness, signal: AbortSignal): Promise<void>;
  /** What a log line says about the progress of the load, in a few words. */
  parseProgress(line: string): { readonly text: string } | undefined;
  diagnose(lines: readonly string[], exit: ReplicaExit | undefined): { readonly code: string; readonly advice: string };
}

const LAST_LINES = 50;
/** Looking at the logs of the dead must not keep the living waiting. */
const POST_MORTEM_MS = 700;

export class Launcher {
  readonly #deps: LauncherDeps;

  constructor(deps: LauncherDeps) {
    this.#deps = deps;
  }

  /** pending → … → ready. */
  async launch(replica: Replica, signal: AbortSignal): Promise<void> {
    try {
      const spec = this.#specOf(replica);
      await this.#bringUp(replica, spec.readiness, signal, async (limit) => {
        await this.#driver(replica).start(spec, (phase) => this.#onPhase(replica, phase), limit);
        await this.#load(replica, spec.readiness, limit);
      });
      if (replica.state === "ready")
        this.#deps.estimates.record(replica.identity.recipeId, this.#deps.clock.now() - replica.createdAt);
    } catch (error) {
      if (!signal.aborted) await this.#fail(replica, error);
    }
  }

  /** loading → ready, for a replica that was found running. */
  async resume(replica: Replica, signal: AbortSignal): Promise<void> {
    try {
      const readiness = this.#readinessOf(replica);
      await this.#bringUp(replica, readiness, signal, (limit) => this.#load(replica, readiness, limit));
    } catch (error) {
      if (!signal.aborted) await this.#fail(replica, error);
    }
  }

  /** It ended, or vanished, although nobody of us ended it. */
  async died(replica: Replica, exit: ReplicaExit | undefined): Promise<void> {
    if (replica.state === "ready") this.#deps.fleet.setResponsive(replica, "it has ended");
    await this.#fail(replica, exit);
  }

  /** Does the work, within the time that a start may take; then the replica is ready. */
  async #bringUp(
    replica: Replica,
    readiness: Readiness,
    signal: AbortSignal,
    work: (limit: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const { clock, fleet } = this.#deps;
    const tooLate = () =>
      new AimError(
        "model_start_timeout",
        `${replica.model} was not ready after ${formatDuration(readiness.timeoutMs)} (last seen: ${replica.reason})`,
      );
    const limit = deadline(clock, readiness.timeoutMs, tooLate, signal);
    try {
      await work(limit.signal);
    } catch (error) {
      // Being late is the cause, whatever words the runtime finds for having been interrupted.
      limit.signal.throwIfAborted();
      throw error;
    } finally {
      limit.done();
    }
    // It may have been stopped or have died in this very moment, before the signal says so.
    if (replica.state === "loading") fleet.ready(replica);
  }

  async #load(replica: Replica, readiness: Readiness, signal: AbortSignal): Promise<void> {
    const { address } = replica;
    if (address === undefined) throw new AimError("runtime_failed", `the runtime gave no address for ${replica.name}`);
    const following = new AbortController();
    const progress = this.#followProgress(replica, AbortSignal.any([signal, following.signal]));
    try {
      await this.#deps.awaitReady(address, readiness, signal);
    } finally {
      following.abort(new Error("the load has ended"));
      await progress;
    }
  }

  /** Progress is for display: whatever goes wrong with it, the load goes on. */
  async #followProgress(replica: Replica, signal: AbortSignal): Promise<void> {
    const { ref } = replica;
    if (ref === undefined) return;
    try {
      for await (const line of this.#driver(replica).logs(ref, { follow: true, tail: LAST_LINES }, signal)) {
        const progress = this.#deps.parseProgress(line.text);
        if (progress !== undefined && replica.isStarting) this.#deps.fleet.describe(replica, progress.text);
      }
    } catch {
      // Without log lines the waiting comments say less; nothing else depends on them.
    }
  }

  #onPhase(replica: Replica, phase: StartPhase): void {
    const { fleet } = this.#deps;
    // Whoever has to take it down needs to know what runs, even when the stop came first.
    if (phase.kind === "started" && replica.state !== "gone") fleet.located(replica, phase.ref, phase.address);
    if (!replica.isStarting) return;
    switch (phase.kind) {
      case "pulling":
        fleet.advance(replica, "pulling", "pulling the image");
        return fleet.describe(replica, describePull(phase));
      case "creating":
        return fleet.advance(replica, "starting", "starting the engine");
      case "started":
        if (replica.state !== "loading") fleet.advance(replica, "starting", "starting the engine");
        return fleet.advance(replica, "loading", "loading the model");
    }
  }

  async #fail(replica: Replica, cause: unknown): Promise<void> {
    // Whatever goes wrong with finding out why, the replica has failed, and its place has to become free.
    const failure = await this.#postMortem(replica, cause).catch((error: unknown) =>
      failureOf(new Error("finding out why it ended failed", { cause: error }), replica.model, []),
    );
    // While the logs were read somebody else may have decided to stop it.
    if (!["stopping", "failed", "gone"].includes(replica.state)) this.#deps.fleet.fail(replica, failure);
  }

  async #postMortem(replica: Replica, cause: unknown): Promise<ReplicaFailure> {
    const { model } = replica;
    if (cause === undefined) {
      const advice = "it was removed from outside, or could not be reached any more; the next request starts a new one";
      return {
        counts: false,
        cause: "vanished",
        message: `the replica of ${model} is gone`,
        advice,
        lastLines: [],
      };
    }
    const lastLines = await this.#lastLines(replica);
    if (cause instanceof Error) return failureOf(cause, model, lastLines);
    const exit = isExit(cause) ? cause : undefined;
    const { code, advice } = this.#deps.diagnose(lastLines, exit);
    const when = replica.readyAt === undefined ? "while it was loading" : "after it had been ready";
    const message = `${model} could not be ${replica.readyAt === undefined ? "started" : "kept running"}: its engine ended ${when} (${code})`;
    const counts = replica.readyAt === undefined || !wasAskedToEnd(exit);
    return { counts, cause: code, message, advice: `${describeExit(exit)}; ${advice}`, lastLines };
  }

  async #lastLines(replica: Replica): Promise<readonly string[]> {
    const { ref } = replica;
    if (ref === undefined) return [];
    const limit = deadline(
      this.#deps.clock,
      POST_MORTEM_MS,
      () => new Error("reading the last log lines took too long"),
    );
    const lines: string[] = [];
    try {
      const logs = this.#driver(replica).logs(ref, { follow: false, tail: LAST_LINES }, limit.signal);
      for await (const line of logs) lines.push(line.text);
    } catch {
      // The failure itself is reported either way; its log lines are a help, not a condition.
    } finally {
      limit.done();
    }
    return lines;
  }

  #specOf(replica: Replica): LaunchSpec {
    const { recipe, profile, identity } = replica;
    if (recipe === undefined || profile === undefined)
      throw new Error(`replica ${replica.name} has no recipe to start from`);
    const { installation, defaults } = this.#deps;
    const { name, runtime, gpus, keepAliveMs } = identity;
    const keepAlive = keepAliveMs === undefined ? {} : { keepAliveMs };
    return toLaunchSpec({
      replica: name,
      installation,
      recipe,
      profile,
      runtime,
      gpus,
      defaults,
      ...keepAlive,
    });
  }

  /** An adopted replica whose recipe is gone is still asked for its own model. */
  #readinessOf(replica: Replica): Readiness {
    if (replica.recipe !== undefined && replica.profile !== undefined) return this.#specOf(replica).readiness;
    return { servedModel: replica.model, warmUp: false, timeoutMs: this.#deps.defaults.startTimeoutMs };
  }

  #driver(replica: Replica): RuntimeDriver {
    const driver = this.#deps.drivers.get(replica.identity.runtime);
    if (driver === undefined)
      throw new AimError("runtime_unavailable", `runtime ${replica.identity.runtime} is not configured`);
    return driver;
  }
}

function failureOf(error: Error, model: string, lastLines: readonly string[]): ReplicaFailure {
  const advice = messageOf(error);
  if (isAimError(error, "model_start_timeout")) {
    return {
      counts: true,
      code: error.code,
      cause: "start_timeout",
      message: error.message,
      advice: "raise startTimeout in its recipe if it was still making progress",
      lastLines,
    };
  }
  if (isAimError(error, "runtime_unavailable")) {
    return {
      counts: false,
      code: error.code,
      cause: error.code,
      message: `${model} could not be started: its runtime is not available`,
      advice,
      lastLines,
    };
  }
  return {
    counts: true,
    cause: causeOf(error),
    message: `${model} could not be started`,
    advice,
    lastLines,
  };
}

/** Drivers say more than their code where they can: `disk_full`, `no_gpu_access`, `image_not_found`. */
function causeOf(error: Error): string {
  if (!isAimError(error)) return "crashed";
  const { failure } = error.data;
  return typeof failure === "string" ? failure : error.code;
}

function isExit(cause: unknown): cause is ReplicaExit {
  return typeof cause === "object" && cause !== null && "outOfMemory" in cause;
}

/** Ended well, or by a signal that asks for it: somebody stopped it, which is no fault of its recipe. */
function wasAskedToEnd(exit: ReplicaExit | undefined): boolean {
  if (exit === undefined || exit.outOfMemory) return false;
  return (
    exit.code === 0 || exit.code === 143 || exit.code === 130 || exit.signal === "SIGTERM" || exit.signal === "SIGINT"
  );
}

function describeExit(exit: ReplicaExit | undefined): string {
  if (exit === undefined) return "it ended";
  if (exit.outOfMemory) return "it was killed for using too much memory";
  return exit.signal === undefined ? `it exited with code ${exit.code ?? "unknown"}` : `it was ended by ${exit.signal}`;
}

function describePull(phase: Extract<StartPhase, { kind: "pulling" }>): string {
  if (phase.totalBytes === undefined || phase.totalBytes === 0) return "pulling the image";
  return `pulling the image ${Math.floor((100 * phase.doneBytes) / phase.totalBytes)}%`;
}
