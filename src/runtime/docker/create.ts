// Launch spec -> body of Docker's "create container". Pure: what is decided here can be read off a test.
import type { ContainerCreateOptions, HostConfig } from "dockerode";
import { HOST_PLACEHOLDER, LABELS, PORT_PLACEHOLDER, type LaunchSpec } from "../../catalog/launch-spec.ts";
import { AimError } from "../../errors.ts";
import { ENGINE_PORT } from "./observe.ts";

/** The device nodes that give a replica its GPUs, as the driver found them on this machine. */
export interface DeviceAccess {
  readonly nodes: readonly { readonly onHost: string; readonly inContainer: string }[];
  /** Numeric groups that may open the nodes; names would be looked up in the image, which often lacks them. */
  readonly groups: readonly number[];
}

export const NO_DEVICES: DeviceAccess = { nodes: [], groups: [] };

/** What a driver adds to every spec. */
export interface CreateContext {
  readonly installation: string;
  readonly network: string;
  readonly publish: boolean;
  /** Host folders or volumes for all replicas, as in `docker run --volume`. */
  readonly binds: readonly string[];
}

/** Throws `runtime_failed` for a spec that no container can be made of. */
export function createBody(spec: LaunchSpec, context: CreateContext, devices: DeviceAccess): ContainerCreateOptions {
  const { image } = spec;
  if (image === undefined)
    throw new AimError("runtime_failed", `replica ${spec.replica} names no image; give its recipe one`);
  const { entrypoint, args } = splitCommand(spec);
  const exposed = context.publish ? { ExposedPorts: { [`${ENGINE_PORT}/tcp`]: {} } } : {};
  return {
    Image: image,
    Entrypoint: entrypoint,
    Cmd: args,
    Env: environment(spec),
    Labels: { ...spec.labels, [LABELS.installation]: context.installation },
    // The gateway decides what is healthy; the image's own check would only cost.
    Healthcheck: { Test: ["NONE"] },
    StopTimeout: Math.ceil(spec.stopGraceMs / 1000),
    ...exposed,
    HostConfig: hostConfig(spec, context, devices),
  };
}

/**
 * Images disagree about their entrypoint ("vllm serve", a shell, none), so it is always overruled. As arrays, hence
 * without a shell: a shell as PID 1 would keep SIGTERM for itself.
 */
function splitCommand(spec: LaunchSpec): { entrypoint: string[]; args: string[] } {
  const argv = spec.argv.map(fillIn);
  const [program, verb] = argv;
  if (program === undefined) throw new AimError("runtime_failed", `replica ${spec.replica} has no command`);
  const words = program === "vllm" && verb === "serve" ? 2 : 1;
  return { entrypoint: argv.slice(0, words), args: argv.slice(words) };
}

function fillIn(text: string): string {
  return text.replaceAll(HOST_PLACEHOLDER, "0.0.0.0").replaceAll(PORT_PLACEHOLDER, String(ENGINE_PORT));
}

function environment(spec: LaunchSpec): string[] {
  return Object.entries(spec.env).map(([name, value]) => `${name}=${fillIn(value)}`);
}

function hostConfig(spec: LaunchSpec, context: CreateContext, devices: DeviceAccess): HostConfig {
  const published = { [`${ENGINE_PORT}/tcp`]: [{ HostIp: "127.0.0.1", HostPort: "0" }] };
  return {
    // A PID 1 that forwards signals and reaps the engine's workers: SIGKILL can leave GPU memory occupied.
    Init: true,
    RestartPolicy: { Name: "no" },
    LogConfig: { Type: "json-file", Config: { "max-size": "100m", "max-file": "3" } },
    NetworkMode: context.network,
    ...(context.publish ? { PortBindings: published } : {}),
    ...(context.binds.length === 0 ? {} : { Binds: [...context.binds] }),
    ...limits(spec.resources),
    ...gpuAccess(devices),
  };
}

function limits(resources: LaunchSpec["resources"]): Partial<HostConfig> {
  const { memoryBytes, memorySwapBytes, shmBytes, cpus } = resources;
  return {
    ...(memoryBytes === undefined ? {} : { Memory: memoryBytes }),
    ...(memorySwapBytes === undefined ? {} : { MemorySwap: memorySwapBytes }),
    ...(shmBytes === undefined ? {} : { ShmSize: shmBytes }),
    ...(cpus === undefined ? {} : { NanoCpus: Math.round(cpus * 1e9) }),
  };
}

/** The kernel lets a container use exactly the GPUs whose nodes it was given; environment variables are no barrier. */
function gpuAccess(devices: DeviceAccess): Partial<HostConfig> {
  if (devices.nodes.length === 0) return {};
  return {
    Devices: devices.nodes.map(({ onHost, inContainer }) => ({
      PathOnHost: onHost,
      PathInContainer: inContainer,
      CgroupPermissions: "rwm",
    })),
    GroupAdd: devices.groups.map(String),
    // ROCm maps memory in ways that the default profile forbids.
    SecurityOpt: ["seccomp=unconfined"],
  };
}
