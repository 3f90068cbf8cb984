// The driver of a FakeWorld; keeps the same contract as the real ones.
import { LABELS, type LaunchSpec } from "../../src/catalog/launch-spec.ts";
import { AimError } from "../../src/errors.ts";
import { sleep } from "../../src/lib/clock.ts";
import type {
  BackendRef,
  Check,
  Gpu,
  Hint,
  LogLine,
  LogOptions,
  ObservedReplica,
  PullProgress,
  ReplicaStats,
  RuntimeDriver,
  StartPhase,
  StopOptions,
} from "../../src/runtime/driver.ts";
import type { FakeContainer, FakeWorld, LostAnswer } from "./fake-world.ts";

export class FakeDriver implements RuntimeDriver {
  readonly name = "docker";
  readonly placement = "gateway";
  readonly #world: FakeWorld;
  readonly #installation: string;
  readonly #starting = new Map<string, Promise<unknown>>();
  /** What is being made at this moment. */
  readonly #making = new Set<LaunchSpec>();
  readonly #unwatch = new Set<() => void>();
  #isDead = false;
  #hasListed = false;

  constructor(world: FakeWorld, installation: string) {
    this.#world = world;
    this.#installation = installation;
  }

  /**
   * The gateway was killed: what it asked for is answered to nobody. Each container it was just making is left as
   * `fateOf` says; a stop goes on without it, and leaves the remains.
   */
  kill(fateOf: () => "nothing" | "created" | "running"): void {
    this.#isDead = true;
    for (const unwatch of this.#unwatch) unwatch();
    for (const spec of this.#making) {
      const fate = fateOf();
      if (fate === "nothing") continue;
      void this.#world.run(spec).then((container) => {
        if (fate === "created") this.#world.set(container.spec.replica, "created");
      });
    }
  }

  async ping(): Promise<void> {
    await this.#answer();
  }

  async inventory(): Promise<readonly Gpu[]> {
    await this.#answer();
    return this.#world.inventory();
  }

  async start(spec: LaunchSpec, observe: (phase: StartPhase) => void, signal: AbortSignal): Promise<BackendRef> {
    await this.#starting.get(spec.replica)?.catch(() => undefined);
    const started = this.#start(spec, observe, signal);
    this.#starting.set(spec.replica, started);
    return started.finally(() => this.#starting.delete(spec.replica));
  }

  async stop(ref: BackendRef, options: StopOptions, signal: AbortSignal): Promise<void> {
    await this.#answer();
    const fault = this.#world.stopFaults.shift();
    if (fault !== undefined) throw fault;
    const container = this.#mine().find((one) => one.ref.id === ref.id);
    if (container === undefined) return;
    this.#world.noteStop(container);
    if (this.#world.unkillable.has(container.spec.replica))
      throw new AimError("runtime_failed", `${container.spec.replica} was killed and does not end`);
    const ignores = container.spec.env["AIM_SIM_IGNORE_SIGTERM"] === "1" && container.state === "running";
    await sleep(this.#world.clock, ignores ? options.graceMs : this.#world.pace.stopMs, signal);
    if (this.#isDead) this.#world.exit(container.spec.replica, { code: 143, outOfMemory: false });
    await this.#answer();
    this.#world.stopped.add(container.ref.id);
    if (this.#world.containers.get(container.spec.replica) === container) this.#world.remove(container.spec.replica);
    await this.#deliver("stop", signal);
  }

  async list(signal?: AbortSignal): Promise<readonly ObservedReplica[]> {
    await this.#answer();
    const found = this.#found();
    await this.#deliver("list", signal);
    if (!this.#hasListed) this.#world.memory.seenSince = this.#world.clock.now();
    this.#hasListed = true;
    return found;
  }

  #found(): readonly ObservedReplica[] {
    return this.#mine().map(({ ref, spec, state, address, startedAtWall, exit }) => ({
      ref,
      labels: spec.labels,
      state,
      startedAt: startedAtWall,
      createdAt: startedAtWall,
      ...(state === "running" ? { address } : {}),
      ...(exit === undefined ? {} : { exit }),
      ...(spec.image === undefined ? {} : { imageId: `sha256:of ${spec.image}` }),
    }));
  }

  watch(onHint: (hint: Hint) => void, signal: AbortSignal): void {
    if (signal.aborted) return;
    const unwatch = this.#world.watch(onHint);
    this.#unwatch.add(unwatch);
    signal.addEventListener("abort", unwatch, { once: true });
  }

  async *logs(ref: BackendRef, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine> {
    const live = this.#mine().find((one) => one.ref.id === ref.id);
    const container = live ?? this.#world.past.get(ref.id);
    if (container?.ref.name !== ref.name) return;
    const first = options.tail === 0 ? container.lines.length : Math.max(0, container.lines.length - options.tail);
    for (let next = first; !signal.aborted && !this.#isDead;) {
      const text = container.lines[next];
      if (text !== undefined) {
        next += 1;
        yield { text, stream: "stdout" };
      } else if (!options.follow || !this.#isThere(container)) return;
      // An abort ends the iteration: the loop looks at the signal.
      else await sleep(this.#world.clock, this.#world.pace.logMs, signal).catch(() => undefined);
    }
  }

  async stats(ref: BackendRef): Promise<ReplicaStats> {
    await this.#answer();
    if (!this.#mine().some((one) => one.ref.id === ref.id))
      throw new AimError("replica_not_found", `${ref.name} is gone`);
    return { memoryBytes: 64 * 2 ** 20, cpuSeconds: 1 };
  }

  async pull(image: string, observe: (progress: PullProgress) => void, signal: AbortSignal): Promise<void> {
    await this.#answer();
    await this.#world.onPull(image, observe, signal);
  }

  async forget(replica: string): Promise<boolean> {
    await this.#answer();
    const kept = [...this.#world.past.values()].filter((one) => one.ref.name === replica);
    for (const { ref } of kept) this.#world.past.delete(ref.id);
    return kept.length > 0;
  }

  async examine(): Promise<readonly Check[]> {
    await this.#answer();
    return this.#world.checks;
  }

  async close(): Promise<void> {}

  async #start(spec: LaunchSpec, observe: (phase: StartPhase) => void, signal: AbortSignal): Promise<BackendRef> {
    if (!this.#isDead) this.#world.onAttempt(spec);
    await this.#answer();
    signal.throwIfAborted();
    await this.#world.onImage((pull) => observe({ kind: "pulling", ...pull }), signal);
    observe({ kind: "creating" });
    this.#making.add(spec);
    await sleep(this.#world.clock, this.#world.pace.createMs, signal).finally(() => this.#making.delete(spec));
    await this.#answer();
    const fault = this.#world.startFaults.shift();
    if (fault !== undefined) throw fault;
    const taken = this.#world.gpus.filter(({ id, foreign }) => foreign !== undefined && spec.gpus.includes(id));
    if (taken.length > 0)
      throw new AimError("runtime_failed", "its GPUs were taken", { data: { failure: "gpu_taken" } });
    if (spec.argv[0] === "no-such-program") throw new AimError("runtime_failed", `cannot start ${spec.argv[0]}`);
    const container = this.#existing(spec) ?? (await this.#world.run(spec));
    this.#script(container);
    this.#world.onRunning(container);
    await this.#deliver("start", signal);
    observe({ kind: "started", ref: container.ref, address: container.address });
    if (!signal.aborted) return container.ref;
    this.#world.remove(spec.replica);
    throw signal.reason;
  }

  #existing(spec: LaunchSpec): FakeContainer | undefined {
    const existing = this.#world.containers.get(spec.replica);
    if (existing?.state !== "running") return undefined;
    if (existing.spec.labels[LABELS.recipeHash] === spec.labels[LABELS.recipeHash]) return existing;
    throw new AimError("runtime_failed", `${spec.replica} already runs from another recipe`);
  }

  /** The sim engine's knobs that the contract uses. */
  #script(container: FakeContainer): void {
    const { env, replica } = container.spec;
    const { clock } = this.#world;
    const exit = { code: Number(env["AIM_SIM_EXIT_CODE"] ?? 1), outOfMemory: false };
    const crash = env["AIM_SIM_CRASH_BEFORE_READY"] ?? env["AIM_SIM_CRASH_AFTER_READY"];
    if (crash !== undefined)
      clock.setTimer(Number(crash) * 1000, () => this.#isThere(container) && this.#world.exit(replica, exit));
    if (env["AIM_SIM_LOG_FLOOD"] !== undefined) this.#flood(container, 1000 / Number(env["AIM_SIM_LOG_FLOOD"]));
  }

  #flood(container: FakeContainer, everyMs: number): void {
    if (!this.#isThere(container)) return;
    container.lines.push(`line ${container.lines.length}`);
    this.#world.clock.setTimer(everyMs, () => this.#flood(container, everyMs));
  }

  #isThere(container: FakeContainer): boolean {
    return this.#world.containers.get(container.spec.replica) === container && container.state === "running";
  }

  #mine(): readonly FakeContainer[] {
    return [...this.#world.containers.values()].filter(
      (one) => one.spec.labels[LABELS.installation] === this.#installation,
    );
  }

  /** The work is done; whoever asked for it hears of that late, or not at all. */
  async #deliver(call: LostAnswer["call"], signal: AbortSignal | undefined): Promise<void> {
    const { clock, pace } = this.#world;
    const lost = this.#world.loses(call);
    const afterMs = lost?.afterMs ?? (call === "list" ? pace.answerMs : 0);
    if (afterMs > 0) await sleep(clock, afterMs, signal);
    await this.#answer();
    if (lost !== undefined) throw new AimError("runtime_unavailable", `the answer to ${call} was lost`);
  }

  /** The dead are never answered. */
  async #answer(): Promise<void> {
    if (this.#isDead || this.#world.isMute) await new Promise<never>(() => {});
    if (this.#world.outage !== undefined) throw this.#world.outage;
  }
}
