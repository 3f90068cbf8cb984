// The process runtime: replicas are ordinary processes of this machine, which outlive the gateway and are found again by it.
import { constants } from "node:fs";
import { access, mkdir } from "node:fs/promises";
import { LABELS, type LaunchSpec } from "../../catalog/launch-spec.ts";
import { AimError } from "../../errors.ts";
import type { Clock } from "../../lib/clock.ts";
import { startLoop, type Loop } from "../../lib/loop.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type {
  BackendRef,
  Gpu,
  Hint,
  LogLine,
  LogOptions,
  ObservedReplica,
  ReplicaStats,
  RuntimeDriver,
  StartPhase,
  StopOptions,
} from "../driver.ts";
import { canBeLogged, deleteLog, deleteOldLogs, logPath, MAX_LOG_BYTES, rotateInPlace } from "../log-file.ts";
import { observeChild, startChild, type Child } from "./child.ts";
import { endGroups } from "./end.ts";
import { cannotLog, readLog } from "./log.ts";
import type { Marks } from "./marks.ts";
import { findReplicas, isSameStart, pidOf, refId, type ProcessReplica } from "./replicas.ts";
import { isLive, ProcessTable, TICKS_PER_SECOND } from "./table.ts";

export interface ProcessDriverOptions {
  readonly installation: string;
  /** Where each replica's output goes, as `<replica>.log`. */
  readonly logDir: string;
  /** The GPUs of this machine that replicas may use, in the order in which engines count those of one vendor. */
  readonly gpus: readonly Gpu[];
  /** The gateway's own environment, of which replicas get very little. */
  readonly baseEnv: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where replicas listen: an IPv4 address of this machine. */
  readonly host?: string;
  readonly maxLogBytes?: number;
  readonly procRoot?: string;
}

const LOOK_EVERY_MS = 1000;
const NEVER = new AbortController().signal;

/**
 * A replica starts as a child of this gateway, which is told of its exit and remembers it until `stop`. After a restart
 * it is nobody's child but bears our marks in its environment: it is found in the process table, and its end shows as
 * its absence. Where the system has no /proc there are children only: nothing is taken over. Resource limits of a spec
 * are not enforced on this runtime.
 */
export class ProcessDriver implements RuntimeDriver {
  readonly name = "process";
  readonly placement = "gateway";
  readonly #options: ProcessDriverOptions;
  readonly #table: ProcessTable;
  /** By ref id. */
  readonly #children = new Map<string, Child>();
  /** Replicas seen running that are not our children, by ref id. */
  readonly #adopted = new Map<string, BackendRef>();
  /** Starts under way, by replica name. */
  readonly #starting = new Map<string, Promise<BackendRef>>();
  readonly #watchers = new Set<(hint: Hint) => void>();
  readonly #closing = new AbortController();
  readonly #loop: Loop;
  #isTidied = false;

  constructor(options: ProcessDriverOptions) {
    this.#options = options;
    this.#table = new ProcessTable(options.procRoot);
    this.#loop = startLoop({
      clock: options.clock,
      everyMs: LOOK_EVERY_MS,
      run: () => this.#lookAfterAll(),
      onError: (error) => options.logger.warn({ err: error }, "looking after replica processes failed"),
    });
  }

  async ping(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { logDir, logger } = this.#options;
    try {
      await mkdir(logDir, { recursive: true });
      await access(logDir, constants.W_OK);
    } catch (error) {
      throw cannotLog(logDir, error);
    }
    if (await this.#table.isAvailable()) return;
    logger.warn("this system has no /proc: replica processes are not taken over after a restart of the gateway");
  }

  inventory(): Promise<readonly Gpu[]> {
    return Promise.resolve(this.#options.gpus);
  }

  async start(spec: LaunchSpec, observe: (phase: StartPhase) => void, signal: AbortSignal): Promise<BackendRef> {
    for (let other; (other = this.#starting.get(spec.replica)) !== undefined;) {
      // How the other one ended is its caller's affair; what it left is looked at below.
      await other.catch(() => undefined);
    }
    const starting = this.#startAlone(spec, observe, signal);
    this.#starting.set(spec.replica, starting);
    try {
      return await starting;
    } finally {
      this.#starting.delete(spec.replica);
    }
  }

  async stop(ref: BackendRef, options: StopOptions, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await this.#end(ref, options, signal);
  }

  async list(signal: AbortSignal): Promise<readonly ObservedReplica[]> {
    signal.throwIfAborted();
    const found = await this.#find();
    const observed = new Map<string, ObservedReplica>();
    for (const [name, replica] of found) observed.set(name, await this.#observe(replica));
    for (const child of this.#children.values()) {
      const { name } = child.ref;
      const live = found.get(name);
      // What an ended child left behind is a remainder of it; a live one is known better by the process table.
      const isEnded = child.exit !== undefined && live !== undefined && isSameStart(live.marks, child.marks);
      if (live === undefined || isEnded) observed.set(name, observeChild(child));
    }
    for (const { state, ref } of observed.values()) {
      if (state !== "exited" && !this.#children.has(ref.id)) this.#adopted.set(ref.id, ref);
    }
    return [...observed.values()];
  }

  watch(onHint: (hint: Hint) => void, signal: AbortSignal): void {
    if (signal.aborted) return;
    const watcher = (hint: Hint) => onHint(hint);
    this.#watchers.add(watcher);
    signal.addEventListener("abort", () => this.#watchers.delete(watcher), { once: true });
  }

  async *logs(ref: BackendRef, options: LogOptions, signal: AbortSignal): AsyncGenerator<LogLine> {
    if (!canBeLogged(ref.name)) return;
    const path = logPath(this.#options.logDir, ref.name);
    const reader = { clock: this.#options.clock, isAlive: () => this.#isAlive(ref) };
    const either = AbortSignal.any([signal, this.#closing.signal]);
    yield* readLog(path, options, reader, either);
  }

  async stats(ref: BackendRef, signal: AbortSignal): Promise<ReplicaStats> {
    signal.throwIfAborted();
    const replica = (await this.#find()).get(ref.name);
    if (replica?.ref.id !== ref.id) {
      throw new AimError("replica_not_found", `replica ${ref.name} (process ${ref.id}) does not run`);
    }
    let memoryBytes = 0;
    for (const member of replica.members) memoryBytes += await this.#table.residentBytes(member.pid);
    const ticks = replica.members.reduce((sum, member) => sum + member.cpuTicks, 0);
    return { memoryBytes, cpuSeconds: ticks / TICKS_PER_SECOND };
  }

  async forget(replica: string, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    return deleteLog(this.#options.logDir, replica);
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error("the process runtime is closing"));
    this.#watchers.clear();
    await this.#loop.stop();
  }

  async #startAlone(spec: LaunchSpec, observe: (phase: StartPhase) => void, signal: AbortSignal): Promise<BackendRef> {
    signal.throwIfAborted();
    if (!canBeLogged(spec.replica)) {
      throw new AimError("runtime_failed", `"${spec.replica}" is no name for a replica: use a-z, 0-9, "." and "-"`);
    }
    const same = (await this.list(signal)).find((replica) => replica.ref.name === spec.replica);
    if (same?.address !== undefined) {
      assertSameRecipe(spec, same);
      observe({ kind: "started", ref: same.ref, address: same.address });
      return same.ref;
    }
    if (same !== undefined) await this.#end(same.ref, { graceMs: 0, reason: "remains of an earlier start" }, signal);
    observe({ kind: "creating" });
    signal.throwIfAborted();
    const child = await this.#startChild(spec);
    try {
      observe({ kind: "started", ref: child.ref, address: child.marks.address });
      signal.throwIfAborted();
      return child.ref;
    } catch (error) {
      await this.#end(child.ref, { graceMs: 0, reason: "its start was given up" }, NEVER);
      throw error;
    }
  }
  async #startChild(spec: LaunchSpec): Promise<Child> {
    const { installation, logDir, gpus, baseEnv, clock, logger, host = "127.0.0.1" } = this.#options;
    const takenPorts = new Set([...this.#children.values()].map((child) => Number(child.marks.address.port)));
    const table = this.#table;
    const place = { installation, host, logDir, gpus, baseEnv, clock, table, takenPorts };
    const child = await startChild(spec, place);
    this.#children.set(child.ref.id, child);
    const fields = { replica: spec.replica, backend: child.ref.id };
    logger.info({ ...fields, address: child.marks.address.href }, "replica process started");
    void child.exited.then((exit) => {
      child.exit = exit;
      logger.info({ ...fields, ...exit }, "replica process ended");
      this.#hint();
    });
    return child;
  }

  async #end(ref: BackendRef, options: StopOptions, signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    const child = this.#children.get(ref.id);
    const found = (await this.#find()).get(ref.name);
    const marks = child?.marks ?? (found?.ref.id === ref.id ? found.marks : undefined);
    if (marks === undefined) return;
    logger.info({ replica: ref.name, backend: ref.id, reason: options.reason }, "ending a replica process");
    const liveGroups = () => this.#liveGroups(marks, child);
    if (!(await endGroups(liveGroups, { clock, graceMs: options.graceMs }, signal))) {
      const message = `replica ${ref.name} (process ${ref.id}) survives SIGKILL: it hangs in the kernel; look at its GPU and driver`;
      throw new AimError("runtime_failed", message);
    }
    this.#children.delete(ref.id);
    this.#adopted.delete(ref.id);
    this.#hint();
  }

  /** The process groups of one start: whatever outlives its root keeps the marks, and so is found. */
  async #liveGroups(marks: Marks, child: Child | undefined): Promise<Set<number>> {
    const found = (await this.#find()).get(marks.labels[LABELS.replica] ?? "");
    const members = found !== undefined && isSameStart(found.marks, marks) ? found.members : [];
    const groups = new Set(members.map((member) => member.group));
    if (child !== undefined && child.exit === undefined) groups.add(child.pid);
    return groups;
  }

  #find(): Promise<ReadonlyMap<string, ProcessReplica>> {
    return findReplicas(this.#table, this.#options.installation);
  }

  async #observe(replica: ProcessReplica): Promise<ObservedReplica> {
    const { ref, root, marks } = replica;
    const common = { ref, labels: marks.labels, startedAt: await this.#table.startedAt(root) };
    if (replica.isOrphaned) return { ...common, state: "exited", exit: { code: undefined, outOfMemory: false } };
    const isStopped = root.state === "T" || root.state === "t";
    return { ...common, state: isStopped ? "unresponsive" : "running", address: marks.address };
  }

  async #isAlive(ref: BackendRef): Promise<boolean> {
    const child = this.#children.get(ref.id);
    if (child !== undefined) return child.exit === undefined;
    const stat = await this.#table.stat(pidOf(ref.id));
    return isLive(stat) && refId(stat) === ref.id;
  }

  /** Nobody tells us of the end of an adopted replica, and nobody else bounds the logs. */
  async #lookAfterAll(): Promise<void> {
    for (const ref of this.#adopted.values()) {
      if (await this.#isAlive(ref)) continue;
      this.#adopted.delete(ref.id);
      this.#hint();
    }
    const { logDir, maxLogBytes = MAX_LOG_BYTES } = this.#options;
    const children = [...this.#children.values()].filter((child) => child.exit === undefined);
    const writers = [...this.#adopted.values(), ...children.map((child) => child.ref)];
    for (const { name } of writers) await rotateInPlace(logPath(logDir, name), maxLogBytes);
    if (!this.#isTidied) await this.#tidy();
  }

  /** Once per gateway, and here for the logs of all runtimes, since only processes lose theirs for good. */
  async #tidy(): Promise<void> {
    const { logDir, clock } = this.#options;
    this.#isTidied = true;
    await deleteOldLogs(logDir, new Set((await this.#find()).keys()), clock);
  }

  #hint(): void {
    for (const watcher of this.#watchers) watcher({ kind: "changed" });
  }
}

function assertSameRecipe(spec: LaunchSpec, running: ObservedReplica): void {
  const [wanted, actual] = [spec.labels[LABELS.recipeHash], running.labels[LABELS.recipeHash]];
  if (wanted === actual) return;
  const message = `replica ${spec.replica} already runs from another recipe (hash ${actual}, not ${wanted}); stop it first`;
  throw new AimError("runtime_failed", message);
}
