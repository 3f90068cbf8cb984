// The driver's `start`, in its order: the GPUs (devices), the image (pull), the network or the port of the host (network,
// host-ports), then the container: what it is made of (create), and its start (container-start).
import type { LaunchSpec } from "../../catalog/launch-spec.ts";
import { AimError } from "../../errors.ts";
import type { Clock } from "../../lib/clock.ts";
import type { BackendRef, PullProgress, StartPhase } from "../driver.ts";
import type { DeviceRoots } from "../gpus/discover.ts";
import type { SmiTools } from "../gpus/smi.ts";
import type { Claims } from "./claims.ts";
import type { Containers } from "./containers.ts";
import { ContainerStarter } from "./container-start.ts";
import { createBody, imageOf, type CreateContext, type Findings } from "./create.ts";
import { accessTo } from "./devices.ts";
import type { EngineInfo } from "./engine-info.ts";
import type { GpuAccessSetting } from "./gpu-access.ts";
import { HostPorts, type PortRange } from "./host-ports.ts";
import type { Network } from "./network.ts";
import type { PerConnection } from "./per-connection.ts";
import type { Images } from "./pull.ts";
import type { Self } from "./self.ts";

export interface StartDeps {
  readonly context: CreateContext;
  readonly devices: DeviceRoots;
  readonly tools: SmiTools;
  readonly gpuAccess: GpuAccessSetting;
  readonly hostPorts: PortRange;
  readonly containers: Containers;
  readonly claims: Claims;
  readonly engine: PerConnection<EngineInfo>;
  readonly self: PerConnection<Self | undefined>;
  readonly network: Network;
  readonly images: Images;
  readonly clock: Clock;
}

type Observe = (phase: StartPhase) => void;

/** Finds out what a replica needs, and lets its container be started. */
export class ReplicaStarter {
  readonly #deps: StartDeps;
  readonly #hostPorts: HostPorts;
  readonly #container: ContainerStarter;

  constructor(deps: StartDeps) {
    this.#deps = deps;
    this.#hostPorts = new HostPorts(deps.hostPorts, deps.containers, deps.clock);
    this.#container = new ContainerStarter(deps.containers, deps.claims, deps.clock);
  }

  /** As `RuntimeDriver.start`. What can be refused without waiting for an image is refused before. */
  async start(spec: LaunchSpec, observe: Observe, signal: AbortSignal): Promise<BackendRef> {
    const image = imageOf(spec);
    const { devices: roots, tools, gpuAccess: setting, engine, images, network } = this.#deps;
    if (spec.network === "host") await this.#requireHostNetwork(spec, signal);
    const access = await accessTo(spec.gpus, { roots, tools, setting, engine: () => engine.get(signal) });
    const onPull = (progress: PullProgress) => observe({ kind: "pulling", ...progress });
    const { id: imageId } = await images.ensure(image, spec.pull, onPull, signal);
    const run = (found: Findings) => this.#run(spec, found, observe, signal);
    if (spec.network === "host")
      return this.#hostPorts.withPort(signal, (hostPort) => run({ access, imageId, hostPort }));
    await network.ensure(signal);
    return run({ access, imageId });
  }

  #run(spec: LaunchSpec, found: Findings, observe: Observe, signal: AbortSignal): Promise<BackendRef> {
    const { context } = this.#deps;
    const { replica, gpus, beside = [] } = spec;
    const name = `${context.installation}-${replica}`;
    return this.#container.start({ name, body: createBody(spec, context, found), gpus, beside }, observe, signal);
  }

  /** A replica there listens on the host's loopback, which has to be the gateway's, too. */
  async #requireHostNetwork({ replica }: LaunchSpec, signal: AbortSignal): Promise<void> {
    const { context, self } = this.#deps;
    const home = await self.get(signal);
    const isElsewhere = home !== undefined && home.networkMode !== "host";
    if (!context.publish && !isElsewhere) return;
    throw new AimError(
      "runtime_failed",
      `replica ${replica} is to use the host's network, where this gateway cannot reach it: ${
        isElsewhere
          ? "the gateway's container has a network of its own; run it with --network host"
          : "docker.publish is for machines on which containers have another host"
      }, or take "network: host" out of the recipe`,
    );
  }
}
