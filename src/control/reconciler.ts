// Keeps the fleet true to what runs: asks a runtime for its full list on a timer, and at once when an event hints at a change.
import type { RuntimeName } from "../catalog/recipe.ts";
import type { Readiness } from "../catalog/launch-spec.ts";
import { messageOf } from "../errors.ts";
import type { Clock } from "../lib/clock.ts";
import { startLoop, type Loop } from "../lib/loop.ts";
import type { BackendRef, Gpu, Hint, ReplicaExit, RuntimeDriver } from "../runtime/driver.ts";
import type { Logger } from "../telemetry/logger.ts";
import { compare, type Finding } from "./compare.ts";
import type { Fleet } from "./fleet.ts";
import type { Journal } from "./journal.ts";
import type { Replica } from "./replica.ts";

export interface ReconcilerDeps {
  readonly driver: RuntimeDriver;
  readonly fleet: Fleet;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly everyMs: number;
  /** Does the replica answer now? */
  answers(address: URL, readiness: Readiness, signal: AbortSignal): Promise<boolean>;
  /** A replica ended although nobody of us ended it. */
  onDied(replica: Replica, exit: ReplicaExit | undefined, circumstances: Circumstances): void;
  /** A process of it was killed for memory; it may live on, and serve no more. */
  onOutOfMemory(replica: Replica): void;
}

export interface Circumstances {
  /** Its runtime was away or restarted before it was found ended, which may well be why. */
  readonly afterOutage: boolean;
}

/** How long a replica may be out of reach before it is replaced. */
const UNREACHABLE_LIMIT_MS = 60_000;
/** What is left of a replica nobody knows needs no time to end. */
const LEFTOVER_GRACE_MS = 10_000;
/** How old a leftover has to be: a younger one may be in somebody's hands. */
const LEFTOVER_AGE_MS = 60_000;
/** Pause between two looks while a GPU is on its way back. */
const RECOVERING_EVERY_MS = 1_000;

export interface RunningReconciler extends Loop {
  /** Resolves when the runtime was asked once, whether or not it answered. */
  readonly surveyed: Promise<void>;
}

/** Starts at once; `kick` asks now; `stop` ends the loop and the event stream. */
export function startReconciler(deps: ReconcilerDeps): RunningReconciler {
  const watching = new AbortController();
  const reconciler = new Reconciler(deps);
  const loop = startLoop({
    clock: deps.clock,
    everyMs: () => (deps.fleet.machines.isRecovering(deps.driver.name) ? RECOVERING_EVERY_MS : deps.everyMs),
    run: (signal) => reconciler.run(signal),
    onError: (error) => deps.logger.error({ runtime: deps.driver.name, err: error }, "reconciling failed"),
  });
  deps.driver.watch((hint) => {
    reconciler.note(hint);
    loop.kick();
  }, watching.signal);
  return {
    surveyed: reconciler.surveyed,
    kick: () => loop.kick(),
    async stop() {
      watching.abort(new Error("the reconciler is stopping"));
      await loop.stop();
    },
  };
}

class Reconciler {
  readonly #deps: ReconcilerDeps;
  readonly #name: RuntimeName;
  #unavailable: string | undefined;
  #gpus: readonly Gpu[] = [];
  #known = false;
  /** The runtime was away since the last list. */
  #wasAway = false;
  readonly #surveyed = Promise.withResolvers<void>();

  constructor(deps: ReconcilerDeps) {
    this.#deps = deps;
    this.#name = deps.driver.name;
  }

  get surveyed(): Promise<void> {
    return this.#surveyed.promise;
  }

  note(hint: Hint): void {
    if (hint.kind === "interrupted") this.#wasAway = true;
    if (hint.kind !== "out_of_memory") return;
    const hit = this.#byRef().get(hint.id);
    if (hit !== undefined) this.#deps.onOutOfMemory(hit);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { driver, fleet, clock } = this.#deps;
    const askedAt = clock.now();
    const answer = await Promise.all([driver.inventory(signal), driver.list(signal)]).catch((error: unknown) => ({
      unavailable: messageOf(error),
    }));
    if (signal.aborted) return;
    if ("unavailable" in answer) {
      this.#wasAway = true;
      this.#setAvailable(answer.unavailable);
      return this.#revisit({ giveUp: false }, signal);
    }
    const [gpus, observed] = answer;
    const findings = compare({
      runtime: this.#name,
      replicas: fleet.replicas.all(),
      observed,
      askedAt,
      isBuried: (refId, at) => fleet.replicas.isBuried(refId, at),
    });
    // Adoption and "known" in one go: nothing may be started before what already runs is in the fleet.
    for (const finding of findings) this.#take(finding);
    const mine = this.#byRef();
    for (const { ref, imageId } of observed) {
      const replica = mine.get(ref.id);
      if (replica !== undefined && imageId !== undefined) fleet.identify(replica, { imageId });
    }
    this.#known = true;
    this.#wasAway = false;
    this.#gpus = withForeign(gpus, findings);
    this.#setAvailable(undefined, askedAt);
    await Promise.all([this.#cleanUp(findings, signal), this.#revisit({ giveUp: true }, signal)]);
  }

  /** Its replicas, by the runtime's own ids. */
  #byRef(): ReadonlyMap<string, Replica> {
    const mine = this.#deps.fleet.replicas.all().filter(({ identity }) => identity.runtime === this.#name);
    return new Map(mine.flatMap((replica) => (replica.ref === undefined ? [] : [[replica.ref.id, replica]])));
  }

  #take(finding: Finding): void {
    const { fleet, logger } = this.#deps;
    switch (finding.kind) {
      case "died":
        return this.#deps.onDied(finding.replica, finding.exit, { afterOutage: this.#wasAway });
      case "frozen":
        if (finding.replica.state === "ready") fleet.setResponsive(finding.replica, "it is paused");
        return;
      case "moved":
        return fleet.located(finding.replica, finding.ref, finding.address);
      case "unknown": {
        const replica = fleet.adopt(finding.identity, finding);
        if (finding.address === undefined) fleet.stop(replica, "stale", "found paused or cut off; it cannot serve");
        return;
      }
      case "foreign":
        return logger.warn(
          { backend: finding.ref.name, why: finding.why },
          "left alone: it bears our label but cannot be taken over",
        );
      case "running":
      case "leftover":
        return;
    }
  }

  #setAvailable(unavailable: string | undefined, askedAt?: number): void {
    const { fleet, journal, driver } = this.#deps;
    const state = {
      known: this.#known,
      placement: driver.placement,
      gpus: this.#gpus,
      ...(unavailable === undefined ? {} : { unavailable }),
    };
    fleet.machines.set(this.#name, state, askedAt);
    this.#surveyed.resolve();
    if (unavailable !== this.#unavailable) journal.runtime(this.#name, unavailable);
    this.#unavailable = unavailable;
  }

  async #cleanUp(findings: readonly Finding[], signal: AbortSignal): Promise<void> {
    const now = this.#deps.clock.wallNow();
    const leftovers = findings
      .filter((finding) => finding.kind === "leftover")
      .filter(({ createdAt }) => createdAt === undefined || now - createdAt >= LEFTOVER_AGE_MS);
    await Promise.all(leftovers.map(({ ref }) => this.#remove(ref, signal)));
  }

  async #remove(ref: BackendRef, signal: AbortSignal): Promise<void> {
    const { driver, logger } = this.#deps;
    logger.info({ backend: ref.name }, "removing what is left of an earlier replica");
    try {
      await driver.stop(ref, { graceMs: LEFTOVER_GRACE_MS, reason: "left over" }, signal);
    } catch (error) {
      if (!signal.aborted) logger.warn({ backend: ref.name, err: error }, "a remainder could not be removed yet");
    }
  }

  /** Those that could not be reached: they answer again, or are given up after a while if the runtime says that they run. */
  async #revisit(options: { readonly giveUp: boolean }, signal: AbortSignal): Promise<void> {
    const silent = this.#deps.fleet.replicas
      .all()
      .filter(({ identity, state, responsive }) => identity.runtime === this.#name && state === "ready" && !responsive);
    await Promise.all(silent.map((replica) => this.#check(replica, options, signal)));
  }

  async #check(replica: Replica, { giveUp }: { readonly giveUp: boolean }, signal: AbortSignal): Promise<void> {
    const { address } = replica;
    if (address === undefined) return;
    const readiness = { servedModel: replica.model, warmUp: false, timeoutMs: UNREACHABLE_LIMIT_MS };
    const answers = await this.#deps.answers(address, readiness, signal);
    if (replica.state !== "ready" || replica.responsive) return;
    if (answers) return this.#deps.fleet.setResponsive(replica);
    const silentMs = this.#deps.clock.now() - (replica.unresponsiveSince ?? this.#deps.clock.now());
    // What it still serves may go on well while it is too busy to answer; who waits in vain leaves by its own limit.
    if (giveUp && replica.inFlight === 0 && silentMs > UNREACHABLE_LIMIT_MS)
      this.#deps.onDied(replica, undefined, { afterOutage: false });
  }
}

/** The GPUs, with those that a replica holds which bears our label and that we cannot take over. */
function withForeign(gpus: readonly Gpu[], findings: readonly Finding[]): readonly Gpu[] {
  const holders = new Map(
    findings.flatMap((finding) =>
      finding.kind === "foreign"
        ? finding.gpus.map((gpu) => [gpu, `${finding.ref.name}, which was left alone: ${finding.why}`])
        : [],
    ),
  );
  if (holders.size === 0) return gpus;
  return gpus.map((gpu) => {
    const foreign = gpu.foreign ?? holders.get(gpu.id);
    return foreign === undefined ? gpu : { ...gpu, foreign };
  });
}
