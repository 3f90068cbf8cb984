// The Docker driver: one container per replica, with exactly its GPUs, reached at the container's own address.
import { LABELS, type LaunchSpec } from "../../catalog/launch-spec.ts";
import { AimError } from "../../errors.ts";
import type { Clock } from "../../lib/clock.ts";
import { orAborted } from "../../lib/or-aborted.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { Claims } from "./claims.ts";
import { DockerClient, LIMITS } from "./client.ts";
import { Containers } from "./containers.ts";
import type { CreateContext } from "./create.ts";
import { askEngineInfo, type EngineInfo } from "./engine-info.ts";
import { notUnderstood, statusOf } from "./errors.ts";
import { watchContainers } from "./events.ts";
import { examineDocker } from "./examine.ts";
import type { GpuAccessSetting } from "./gpu-access.ts";
import { parsePortRange } from "./host-ports.ts";
import { ReplicaLogs } from "./logs.ts";
import { DEFAULT_NETWORK, Network } from "./network.ts";
import { toObserved } from "./observe.ts";
import { PerConnection } from "./per-connection.ts";
import { Images } from "./pull.ts";
import { findSelf } from "./self.ts";
import { ReplicaStarter } from "./start.ts";
import { readStats } from "./stats.ts";
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
} from "../driver.ts";
import { discoverGpus, type DeviceRoots } from "../gpus/discover.ts";
import { SmiTools } from "../gpus/smi.ts";

export interface DockerDriverOptions {
  /** Marks what is ours; the first part of every container's name. */
  readonly installation: string;
  readonly socketPath: string;
  /** Made when missing; absent: Docker's default bridge. */
  readonly network?: string;
  /** Dial a port published on 127.0.0.1: only where containers' addresses cannot be reached, as on Docker Desktop. */
  readonly publish: boolean;
  readonly devices: DeviceRoots;
  /** `auto` unless given. */
  readonly gpuAccess?: GpuAccessSetting;
  /** Volume or folder of the host that keeps weights and compiled kernels; absent or "none": off. */
  readonly cache?: string;
  /** "volume-or-host-path:container-path" for all replicas. */
  readonly binds?: readonly string[];
  /** Where replicas listen that use the host's network: "18000-18999". */
  readonly hostPorts?: string;
  /**
   * The container that the gateway runs in; found out unless given. No user can set it: it lets tests, which run in no
   * container, stand in for a gateway that does.
   */
  readonly selfContainer?: string;
  /** How long nothing may be heard of a pull before it is given up. */
  readonly pullSilenceMs?: number;
  /** Where the output of replicas is kept beyond their containers, as `<replica>.log`; absent: nowhere. */
  readonly logDir?: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class DockerDriver implements RuntimeDriver {
  readonly name = "docker";
  readonly placement = "gateway";
  readonly #options: DockerDriverOptions;
  readonly #client: DockerClient;
  readonly #containers: Containers;
  readonly #claims: Claims;
  readonly #engine: PerConnection<EngineInfo>;
  readonly #network: Network;
  readonly #images: Images;
  readonly #starter: ReplicaStarter;
  readonly #logs: ReplicaLogs;
  readonly #closing = new AbortController();
  readonly #tools: SmiTools;
  readonly #warned = new Set<string>();

  constructor(options: DockerDriverOptions) {
    const { installation, publish, devices, clock, logger, network: name = DEFAULT_NETWORK } = options;
    requireName(installation);
    requireBridge(name);
    const client = new DockerClient(options);
    const containers = new Containers(client, clock, { network: name, publish });
    const context = contextOf(options, name);
    const claims = new Claims({ containers, clock, installation, gpuHost: context.gpuHost });
    const engine = new PerConnection(client, (signal) => askEngineInfo(client, signal));
    const self = new PerConnection(client, (signal) => findSelf(containers, options.selfContainer, signal));
    const network = new Network({ client, name, installation, self, logger });
    const { gpuAccess = "auto", pullSilenceMs = LIMITS.pullSilence } = options;
    const images = new Images(client, { clock, pullSilenceMs });
    const hostPorts = parsePortRange(options.hostPorts ?? HOST_PORTS);
    const tools = new SmiTools({ clock });
    const shared = { context, devices, tools, gpuAccess, hostPorts, containers, claims };
    this.#options = options;
    this.#tools = tools;
    this.#client = client;
    this.#containers = containers;
    this.#claims = claims;
    this.#engine = engine;
    this.#network = network;
    this.#images = images;
    this.#logs = new ReplicaLogs({ ...options, client, containers });
    this.#starter = new ReplicaStarter({ ...shared, engine, self, network, images, clock });
  }

  ping(signal: AbortSignal): Promise<void> {
    return this.#client.ping(signal);
  }

  async inventory(signal: AbortSignal): Promise<readonly Gpu[]> {
    signal.throwIfAborted();
    const { gpus, hint } = await orAborted(discoverGpus(this.#options.devices, { tools: this.#tools }), signal);
    for (const { id, unusable } of gpus) if (unusable !== undefined) this.#warnOnce("GPU cannot be used", id, unusable);
    if (hint !== undefined) this.#warnOnce("GPUs can only be seen in part", "all", hint);
    // Without GPUs there is nothing that others could hold, and nothing to ask Docker.
    const foreign = gpus.length === 0 ? new Map<string, string>() : await this.#claims.foreign(signal);
    return gpus.map(({ renderNode: _renderNode, cdiName: _cdiName, ...gpu }) => {
      const holder = foreign.get(gpu.id);
      return holder === undefined ? gpu : { ...gpu, foreign: holder };
    });
  }

  async start(spec: LaunchSpec, observe: (phase: StartPhase) => void, signal: AbortSignal): Promise<BackendRef> {
    signal.throwIfAborted();
    const ref = await this.#starter.start(spec, observe, signal);
    this.#logs.started(ref, spec.replica);
    return ref;
  }

  async pull(image: string, observe: (progress: PullProgress) => void, signal: AbortSignal): Promise<void> {
    await this.#images.pull(image, observe, this.#untilClosed(signal));
  }

  async examine(signal: AbortSignal): Promise<readonly Check[]> {
    const { devices, network = DEFAULT_NETWORK, clock } = this.#options;
    return examineDocker({ client: this.#client, network, roots: { ...devices, procRoot: "/proc" }, clock }, signal);
  }

  async stop(ref: BackendRef, options: StopOptions, signal: AbortSignal): Promise<void> {
    const found = await this.#containers.inspect(ref.id, signal);
    if (found === undefined) return;
    const fields = { container: found.ref.name, reason: options.reason };
    if (!this.#isOurs(found)) {
      this.#options.logger.warn(fields, "container is not ours, so it is not stopped");
      return;
    }
    this.#options.logger.debug(fields, "stopping container");
    await this.#containers.stop(found.ref.id, options.graceMs, signal);
    await this.#logs.drain(found, signal);
    await this.#containers.remove(found.ref.id, signal);
  }

  async list(signal: AbortSignal): Promise<readonly ObservedReplica[]> {
    // First, since what is listed is dialled.
    await this.#network.join(signal);
    const listed = await this.#containers.list("list containers", { label: [this.#label()] }, signal);
    const found = await Promise.all(listed.map(({ id }) => this.#containers.inspect(id, signal)));
    // One may have gone between the list and the look.
    const ours = found.filter((one) => one !== undefined).filter((one) => this.#isOurs(one));
    this.#logs.listed(ours);
    return ours.map(toObserved);
  }

  watch(onHint: (hint: Hint) => void, signal: AbortSignal): void {
    const { clock, logger } = this.#options;
    const deps = { client: this.#client, clock, logger, label: this.#label() };
    void watchContainers(deps, onHint, this.#untilClosed(signal));
  }

  async *logs(ref: BackendRef, options: LogOptions, signal: AbortSignal): AsyncGenerator<LogLine, void, undefined> {
    yield* this.#logs.read(ref, options, this.#untilClosed(signal));
  }

  async forget(replica: string, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    return this.#logs.forget(replica);
  }

  async stats(ref: BackendRef, signal: AbortSignal): Promise<ReplicaStats> {
    const task = `measure container ${ref.name}`;
    // One sample is enough; without "one-shot" Docker waits for a second one.
    const query = { stream: false, "one-shot": true } as const;
    try {
      const answer = await this.#client.call<unknown>(task, LIMITS.look, signal, (docker, abortSignal) => {
        const options = { ...query, abortSignal };
        return docker.getContainer(ref.id).stats(options);
      });
      const { memoryBytes: machineBytes } = await this.#engine.get(signal);
      const stats = readStats(answer, machineBytes);
      if (stats === undefined) throw notUnderstood(task);
      return stats;
    } catch (error) {
      if (statusOf(error) !== 404) throw error;
      throw new AimError("replica_not_found", `container ${ref.name} is gone`, { cause: error });
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error("the docker driver is closing"));
    await this.#logs.close();
    this.#client.close();
  }

  #warnOnce(message: string, gpu: string, reason: string): void {
    if (this.#warned.has(`${gpu} ${reason}`)) return;
    this.#warned.add(`${gpu} ${reason}`);
    this.#options.logger.warn({ gpu, reason }, message);
  }

  #label(): string {
    return `${LABELS.installation}=${this.#options.installation}`;
  }

  #isOurs(replica: ObservedReplica): boolean {
    return replica.labels[LABELS.installation] === this.#options.installation;
  }

  #untilClosed(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, this.#closing.signal]);
  }
}

const HOST_PORTS = "18000-18999";

function contextOf(options: DockerDriverOptions, network: string): CreateContext {
  const { installation, publish, cache = "none", binds = [], devices } = options;
  return { installation, network, publish, cache, binds, gpuHost: devices.devRoot };
}

function requireName(installation: string): void {
  if (/^[a-z0-9][a-z0-9_.-]*$/.test(installation)) return;
  throw new AimError(
    "invalid_config",
    `installation ${JSON.stringify(installation)} cannot begin a container's name; use lower-case letters, digits, "_", "." and "-", a letter or digit first`,
  );
}

function requireBridge(network: string): void {
  if (network !== "host" && network !== "none" && !network.startsWith("container:")) return;
  throw new AimError(
    "invalid_config",
    `docker network ${network} gives replicas no address of their own; name a bridge network, or none for the default one`,
  );
}
