// The Docker driver: one container per replica, with exactly its GPUs, reached at the container's own address.
import { Readable } from "node:stream";
import { z } from "zod";
import { LABELS, type LaunchSpec } from "../../catalog/launch-spec.ts";
import { AimError } from "../../errors.ts";
import type { Clock } from "../../lib/clock.ts";
import { orAborted } from "../../lib/or-aborted.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { DockerClient, LIMITS } from "./client.ts";
import { Containers } from "./containers.ts";
import { createBody, type CreateContext } from "./create.ts";
import { accessTo } from "./devices.ts";
import { notUnderstood, statusOf } from "./errors.ts";
import { watchContainers } from "./events.ts";
import { readLogLines } from "./frames.ts";
import { DEFAULT_NETWORK, Network } from "./network.ts";
import { toObserved } from "./observe.ts";
import { Images } from "./pull.ts";
import { Starter } from "./start.ts";
import type {
  BackendRef,
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

export interface DockerDriverOptions {
  /** Marks what is ours; the first part of every container's name. */
  readonly installation: string;
  readonly socketPath: string;
  /** Made when missing; absent: Docker's default bridge. */
  readonly network?: string;
  /** Dial a port published on 127.0.0.1: only where containers' addresses cannot be reached, as on Docker Desktop. */
  readonly publish: boolean;
  readonly devices: DeviceRoots;
  /** "volume-or-host-path:container-path" for all replicas, e.g. a cache of weights. */
  readonly binds?: readonly string[];
  /** Instead of the negotiated one. */
  readonly apiVersion?: string;
  /** How long nothing may be heard of a pull before it is given up. */
  readonly pullSilenceMs?: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class DockerDriver implements RuntimeDriver {
  readonly name = "docker";
  readonly placement = "gateway";
  readonly #options: DockerDriverOptions;
  readonly #context: CreateContext;
  readonly #client: DockerClient;
  readonly #containers: Containers;
  readonly #network: Network;
  readonly #images: Images;
  readonly #starter: Starter;
  readonly #closing = new AbortController();
  readonly #warned = new Set<string>();

  constructor(options: DockerDriverOptions) {
    const { installation, publish, clock, network = DEFAULT_NETWORK, binds = [] } = options;
    const { pullSilenceMs = LIMITS.pullSilence } = options;
    requireName(installation);
    requireBridge(network);
    this.#options = options;
    this.#context = { installation, network, publish, binds };
    this.#client = new DockerClient(options);
    this.#containers = new Containers(this.#client, clock, { network, publish });
    this.#network = new Network(this.#client, network, installation);
    this.#images = new Images(this.#client, { clock, pullSilenceMs });
    this.#starter = new Starter(this.#containers, clock);
  }

  ping(signal: AbortSignal): Promise<void> {
    return this.#client.ping(signal);
  }

  async inventory(signal: AbortSignal): Promise<readonly Gpu[]> {
    signal.throwIfAborted();
    const { gpus, hint } = await orAborted(discoverGpus(this.#options.devices), signal);
    for (const { id, unusable } of gpus) if (unusable !== undefined) this.#warnOnce("GPU cannot be used", id, unusable);
    if (hint !== undefined) this.#warnOnce("GPUs can only be seen in part", "all", hint);
    return gpus.map(({ renderNode: _renderNode, cdiName: _cdiName, ...gpu }) => gpu);
  }

  async start(spec: LaunchSpec, observe: (phase: StartPhase) => void, signal: AbortSignal): Promise<BackendRef> {
    signal.throwIfAborted();
    const name = `${this.#context.installation}-${spec.replica}`;
    const devices = await accessTo(spec.gpus, this.#options.devices);
    const body = createBody(spec, this.#context, devices);
    const onPull = (progress: PullProgress) => observe({ kind: "pulling", ...progress });
    await this.#images.ensure(body.Image ?? "", spec.pull, onPull, signal);
    await this.#network.ensure(signal);
    return this.#starter.start({ name, body }, observe, signal);
  }

  async pull(image: string, observe: (progress: PullProgress) => void, signal: AbortSignal): Promise<void> {
    await this.#images.pull(image, observe, this.#untilClosed(signal));
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
    await this.#containers.remove(found.ref.id, signal);
  }

  async list(signal: AbortSignal): Promise<readonly ObservedReplica[]> {
    const task = "list containers";
    const answer = await this.#client.call<unknown>(task, LIMITS.look, signal, (docker, abortSignal) =>
      docker.listContainers({ all: true, filters: { label: [this.#label()] }, abortSignal }),
    );
    const listed = listAnswer.safeParse(answer);
    if (!listed.success) throw notUnderstood(task, listed.error);
    const found = await Promise.all(listed.data.map(({ Id }) => this.#containers.inspect(Id, signal)));
    // One may have gone between the list and the look.
    return found
      .filter((one) => one !== undefined)
      .filter((one) => this.#isOurs(one))
      .map(toObserved);
  }

  watch(onHint: (hint: Hint) => void, signal: AbortSignal): void {
    const { clock, logger } = this.#options;
    const deps = { client: this.#client, clock, logger, label: this.#label() };
    void watchContainers(deps, onHint, this.#untilClosed(signal));
  }

  async *logs(ref: BackendRef, options: LogOptions, signal: AbortSignal): AsyncGenerator<LogLine, void, undefined> {
    const ended = this.#untilClosed(signal);
    try {
      const found = await this.#containers.inspect(ref.id, ended);
      if (found === undefined) return;
      const stream = await this.#openLogs(ref, options, ended);
      for await (const line of readLogLines(stream, found)) {
        if (ended.aborted) return;
        yield line;
      }
    } catch (error) {
      if (ended.aborted || statusOf(error) === 404) return;
      throw error;
    }
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
      const parsed = statsAnswer.safeParse(answer);
      if (!parsed.success) throw notUnderstood(task, parsed.error);
      const { memory_stats: memory, cpu_stats: cpu } = parsed.data;
      // The page cache can be dropped at any time; cgroup v1 and v2 name it differently.
      const cache = memory.stats.total_inactive_file ?? memory.stats.inactive_file ?? 0;
      return { memoryBytes: Math.max(0, memory.usage - cache), cpuSeconds: cpu.cpu_usage.total_usage / 1e9 };
    } catch (error) {
      if (statusOf(error) !== 404) throw error;
      throw new AimError("replica_not_found", `container ${ref.name} is gone`, { cause: error });
    }
  }

  close(): Promise<void> {
    this.#closing.abort(new Error("the docker driver is closing"));
    this.#client.close();
    return Promise.resolve();
  }

  #openLogs(ref: BackendRef, options: LogOptions, signal: AbortSignal): Promise<AsyncIterable<Buffer>> {
    const task = `read the logs of container ${ref.name}`;
    const { tail, follow } = options;
    const query = { stdout: true, stderr: true, tail };
    if (follow) {
      return this.#client.open(task, LIMITS.act, signal, (docker, abortSignal) =>
        docker.getContainer(ref.id).logs({ ...query, follow: true, abortSignal }),
      );
    }
    return this.#client.open(task, LIMITS.act, signal, async (docker, abortSignal) => {
      const whole = await docker.getContainer(ref.id).logs({ ...query, follow: false, abortSignal });
      return Readable.from([whole]);
    });
  }

  #warnOnce(message: string, gpu: string, reason: string): void {
    if (this.#warned.has(`${gpu} ${reason}`)) return;
    this.#warned.add(`${gpu} ${reason}`);
    this.#options.logger.warn({ gpu, reason }, message);
  }

  #label(): string {
    return `${LABELS.installation}=${this.#context.installation}`;
  }

  #isOurs(replica: ObservedReplica): boolean {
    return replica.labels[LABELS.installation] === this.#context.installation;
  }

  #untilClosed(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, this.#closing.signal]);
  }
}

const listAnswer = z.array(z.object({ Id: z.string() }));

const statsAnswer = z.object({
  // Empty for a container that does not run.
  memory_stats: z.object({
    usage: z.number().default(0),
    stats: z.object({ inactive_file: z.number().optional(), total_inactive_file: z.number().optional() }).default({}),
  }),
  cpu_stats: z.object({ cpu_usage: z.object({ total_usage: z.number() }) }),
});

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
