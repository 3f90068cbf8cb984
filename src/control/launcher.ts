// Carries out one start: asks the driver, follows the phases, waits until the replica answers. Ends in `ready` or `failed`,
// or, when its signal aborts, in whatever state somebody else decided on. Also brings about the end of those that broke later.
import {
  imageFor,
  readinessOf,
  toLaunchSpec,
  type LaunchDefaults,
  type LaunchSpec,
  type Readiness,
} from "../catalog/launch-spec.ts";
import type { RuntimeName } from "../catalog/recipe.ts";
import { AimError } from "../errors.ts";
import { sleep } from "../lib/clock.ts";
import type { PullProgress, ReplicaExit, RuntimeDriver, StartPhase } from "../runtime/driver.ts";
import type { Diagnosis, End } from "./launcher/failure-words.ts";
import type { Fleet } from "./fleet.ts";
import type { Journal } from "./journal.ts";
import { awaitLoad, type LoadDeps } from "./launcher/load.ts";
import { postMortem, type PostMortemDeps } from "./launcher/post-mortem.ts";
import type { Nap, Replica } from "./replica.ts";
import { gpuKindOf } from "./launcher/gpu-kind.ts";
import { StartLimit } from "./launcher/start-limit.ts";

export interface LauncherDeps extends Omit<LoadDeps, "driver" | "onNews"> {
  readonly fleet: Fleet;
  readonly journal: Journal;
  readonly drivers: ReadonlyMap<RuntimeName, RuntimeDriver>;
  readonly installation: string;
  readonly defaults: LaunchDefaults;
  /** How one sleeps that was found asleep. */
  napOf(replica: Replica, signal: AbortSignal): Promise<Nap>;
  /** Whether its engine still generates; resolves within half a minute, and rejects when the signal aborts. */
  generates(address: URL, model: string, signal: AbortSignal): Promise<boolean>;
  diagnose(lines: readonly string[], exit: ReplicaExit | undefined): Diagnosis;
}

/** An end this soon after a process was killed for memory has that cause, though the runtime may not know. */
const MEMORY_HINT_MS = 60_000;
/** By then whatever could still be said without the process that was killed has been said. */
const ASK_AGAIN_MS = 5_000;

export class Launcher {
  readonly #deps: LauncherDeps;
  readonly #closing = new AbortController();
  /** When a process of it was last killed for memory. */
  readonly #memoryHints = new WeakMap<Replica, number>();
  /** Those that are being asked for a token. */
  readonly #questioned = new Set<Replica>();

  constructor(deps: LauncherDeps) {
    this.#deps = deps;
  }

  /** pending → … → ready. */
  async launch(replica: Replica, signal: AbortSignal): Promise<void> {
    try {
      const spec = { ...this.#specOf(replica), beside: this.#neighboursOf(replica) };
      this.#deps.fleet.identify(replica, { image: spec.image });
      await this.#bringUp(replica, spec.readiness, signal, async (limit) => {
        await this.#driver(replica).start(spec, (phase) => this.#onPhase(replica, phase, limit), limit.signal);
        return this.#load(replica, spec.readiness, limit);
      });
      if (replica.state === "ready") this.#deps.estimates.record(replica);
    } catch (error) {
      if (!signal.aborted) await this.#fail(replica, startFailed(error));
    }
  }

  /** loading → ready, or sleeping, for a replica that was found running. */
  async resume(replica: Replica, signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    try {
      const readiness = this.#readinessOf(replica);
      const ranMs = Math.max(0, clock.wallNow() - replica.startedAtWall);
      replica.progress.onRunning(clock.now(), clock.now() - ranMs);
      await this.#bringUp(replica, readiness, signal, (limit) => this.#load(replica, readiness, limit));
    } catch (error) {
      if (!signal.aborted) await this.#fail(replica, startFailed(error));
    }
  }

  /** It ended, or vanished, although nobody of us ended it. */
  async died(
    replica: Replica,
    exit: ReplicaExit | undefined,
    { afterOutage }: { readonly afterOutage: boolean } = { afterOutage: false },
  ): Promise<void> {
    if (replica.state === "ready") this.#deps.fleet.setResponsive(replica, "it has ended");
    if (exit === undefined) return this.#fail(replica, { kind: "vanished", afterOutage });
    const ranShort = this.#deps.clock.now() - (this.#memoryHints.get(replica) ?? -Infinity) < MEMORY_HINT_MS;
    const outOfMemory = exit.outOfMemory || ranShort;
    await this.#fail(replica, { kind: "exited", exit: { ...exit, outOfMemory }, afterOutage });
  }

  /** Its engine has work and does none: it is replaced. */
  async stalled(replica: Replica, silentMs: number): Promise<void> {
    if (replica.state === "ready") this.#deps.fleet.setResponsive(replica, "its engine makes no progress");
    await this.#fail(replica, { kind: "stalled", silentMs });
  }

  /** It could not be put to sleep, or woken: it is replaced. */
  async spoilt(replica: Replica, end: End): Promise<void> {
    await this.#fail(replica, end);
  }

  /** A process of it was killed for memory: it is replaced unless it still generates. */
  async suspectMemory(replica: Replica): Promise<void> {
    const { clock, journal } = this.#deps;
    const { address } = replica;
    this.#memoryHints.set(replica, clock.now());
    journal.memoryShort(replica);
    // One that loads is watched by its start; one that leaves is taken down anyway.
    if (replica.state !== "ready" || address === undefined || this.#questioned.has(replica)) return;
    this.#questioned.add(replica);
    // Rejected only when the gateway stops: then nothing is to be done any more.
    const answers = await this.#stillGenerates(replica, address).catch(() => undefined);
    this.#questioned.delete(replica);
    if (answers !== false || replica.state !== "ready") return;
    this.#deps.fleet.setResponsive(replica, "it ran out of memory and does not answer");
    await this.#fail(replica, { kind: "maimed" });
  }

  /** Asked again after a while: in the moment in which it lost a process, an answer may still have been on its way. */
  async #stillGenerates(replica: Replica, address: URL): Promise<boolean> {
    const { signal } = this.#closing;
    const asks = () => this.#deps.generates(address, replica.model, signal);
    if (!(await asks())) return false;
    await sleep(this.#deps.clock, ASK_AGAIN_MS, signal);
    // Who sleeps by now is asked when it is woken, and would never answer before.
    return replica.state !== "ready" || asks();
  }

  /** Ends the questions that are being asked. */
  close(): void {
    this.#closing.abort(new Error("the gateway is shutting down"));
  }

  /** Does the work, within the time that a start may take; then the replica is ready, or sleeps. */
  async #bringUp(
    replica: Replica,
    { timeoutMs }: Readiness,
    signal: AbortSignal,
    work: (limit: StartLimit) => Promise<Nap | undefined>,
  ): Promise<void> {
    const { clock, fleet } = this.#deps;
    let nap: Nap | undefined;
    const { model, progress } = replica;
    const limit = new StartLimit(clock, { model, progress, timeoutMs }, signal);
    try {
      nap = await work(limit);
    } catch (error) {
      // Being late is the cause, whatever words the runtime finds for having been interrupted.
      limit.signal.throwIfAborted();
      throw error;
    } finally {
      limit.done();
      progress.end(clock.now());
    }
    // It may have been stopped or have died in this very moment, before the signal says so.
    if (replica.state !== "loading") return;
    if (nap === undefined) fleet.ready(replica);
    else fleet.asleep(replica, nap);
  }

  /** Resolves with how it sleeps, of one that is found asleep. */
  async #load(replica: Replica, readiness: Readiness, limit: StartLimit): Promise<Nap | undefined> {
    const onNews = () => {
      limit.look();
      if (replica.isStarting) this.#deps.fleet.describe(replica, replica.progress.text);
    };
    const deps = { ...this.#deps, driver: this.#driver(replica), onNews };
    const state = await awaitLoad(deps, replica, readiness, limit.signal);
    return state === "asleep" ? this.#deps.napOf(replica, limit.signal) : undefined;
  }

  #onPhase(replica: Replica, phase: StartPhase, limit: StartLimit): void {
    const { fleet, clock } = this.#deps;
    const now = clock.now();
    // Whoever has to take it down needs to know what runs, even when the stop came first.
    if (phase.kind === "started" && replica.state !== "gone") fleet.located(replica, phase.ref, phase.address);
    if (!replica.isStarting) return;
    switch (phase.kind) {
      case "pulling":
        replica.progress.onPull(phase, now);
        fleet.advance(replica, "pulling", "pulling the image");
        fleet.describe(replica, describePull(phase));
        break;
      case "creating":
        replica.progress.onStarting(now);
        fleet.advance(replica, "starting", "starting the engine");
        break;
      case "started":
        replica.progress.onRunning(now);
        if (replica.state !== "loading") fleet.advance(replica, "starting", "starting the engine");
        fleet.advance(replica, "loading", "loading the model");
    }
    limit.look();
  }

  async #fail(replica: Replica, end: End): Promise<void> {
    const deps: PostMortemDeps = {
      clock: this.#deps.clock,
      driverOf: (one) => this.#driver(one),
      diagnose: (lines, exit) => this.#deps.diagnose(lines, exit),
    };
    const failure = await postMortem(deps, replica, end);
    // While the logs were read somebody else may have decided to stop it.
    if (!["stopping", "failed", "gone"].includes(replica.state)) this.#deps.fleet.fail(replica, failure);
  }

  #specOf(replica: Replica): LaunchSpec {
    const { recipe, profile, identity } = replica;
    if (recipe === undefined || profile === undefined)
      throw new Error(`replica ${replica.name} has no recipe to start from`);
    const { installation, defaults, fleet } = this.#deps;
    const { name, runtime, gpus, keepAliveMs, flags, chosen, launched, pinned } = identity;
    const gpuKind = gpuKindOf(fleet.machines.runtimes.get(runtime)?.gpus ?? [], gpus);
    return toLaunchSpec({
      replica: name,
      installation,
      recipe,
      profile,
      runtime,
      gpus,
      defaults,
      ...(gpuKind === undefined ? {} : { gpuKind }),
      ...(flags === undefined ? {} : { flags }),
      ...(chosen === undefined ? {} : { chosen }),
      ...(keepAliveMs === undefined ? {} : { keepAliveMs }),
      ...(launched && { launched }),
      ...(pinned && { pinned }),
    });
  }

  /** Those that it was placed beside: sleepers, and sharers of its GPUs. */
  #neighboursOf(replica: Replica): readonly string[] {
    const { runtime, gpus } = replica.identity;
    const all = gpus.flatMap((gpu) => this.#deps.fleet.replicas.holders(runtime, gpu));
    return [...new Set(all)].filter((other) => other !== replica).map(({ name }) => name);
  }

  /** An adopted replica whose recipe is gone, or has become one that could not start it, is still asked for its own model. */
  #readinessOf(replica: Replica): Readiness {
    const { defaults, fleet } = this.#deps;
    const { recipe, profile, identity, model } = replica;
    if (recipe === undefined || profile === undefined)
      return { servedModel: model, warmUp: false, timeoutMs: defaults.startTimeoutMs };
    fleet.identify(replica, { image: imageFor(recipe, identity.runtime, defaults) });
    return readinessOf(recipe, defaults);
  }

  #driver(replica: Replica): RuntimeDriver {
    const driver = this.#deps.drivers.get(replica.identity.runtime);
    if (driver === undefined)
      throw new AimError("runtime_unavailable", `runtime ${replica.identity.runtime} is not configured`);
    return driver;
  }
}

function startFailed(error: unknown): End {
  return { kind: "error", error: error instanceof Error ? error : new Error("its start failed", { cause: error }) };
}

function describePull({ doneBytes, totalBytes }: PullProgress): string {
  if (totalBytes === undefined || totalBytes === 0) return "pulling the image";
  return `pulling the image ${Math.floor((100 * doneBytes) / totalBytes)}%`;
}
