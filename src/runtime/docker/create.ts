// Launch spec -> body of Docker's "create container". Pure: what is decided here can be read off a test.
import type { ContainerCreateOptions, HostConfig } from "dockerode";
import { HOST_PLACEHOLDER, LABELS, PORT_PLACEHOLDER, type LaunchSpec, type Mount } from "../../catalog/launch-spec.ts";
import { AimError } from "../../errors.ts";
import { cacheEnv, cacheMount, isAtCache } from "./caches.ts";
import type { GpuAccess } from "./gpu-access.ts";
import { DOCKER_LABELS } from "./labels.ts";
import { ENGINE_PORT } from "./observe.ts";

/** What a driver adds to every spec. */
export interface CreateContext {
  readonly installation: string;
  readonly network: string;
  readonly publish: boolean;
  /** Volume or folder of the host that keeps weights and compiled kernels; "none": off. */
  readonly cache: string;
  /** Other host folders or volumes for all replicas, as in `docker run --volume`. */
  readonly binds: readonly string[];
  /** Where the device nodes are, as Docker sees it. */
  readonly gpuHost: string;
}

/** What was found for this one spec. */
export interface Findings {
  readonly access: GpuAccess;
  /** "sha256:…" of the local image. */
  readonly imageId: string;
  /** Of the host, for a replica that uses its network. */
  readonly hostPort?: number;
}

interface Listener {
  readonly host: string;
  readonly port: number;
}

/** Throws `runtime_failed` for a spec that no container can be made of. */
export function createBody(spec: LaunchSpec, context: CreateContext, found: Findings): ContainerCreateOptions {
  const listener = listenerOf(found);
  const { entrypoint, args } = splitCommand(spec, listener);
  const exposed = context.publish ? { ExposedPorts: { [`${ENGINE_PORT}/tcp`]: {} } } : {};
  return {
    Image: imageOf(spec),
    Entrypoint: entrypoint,
    Cmd: args,
    Env: environment(spec, context, found, listener),
    Labels: labels(spec, context, found),
    // The gateway decides what is healthy; the image's own check would only cost.
    Healthcheck: { Test: ["NONE"] },
    StopTimeout: Math.ceil(spec.stopGraceMs / 1000),
    ...exposed,
    HostConfig: hostConfig(spec, context, found.access),
  };
}

/** Throws `runtime_failed` when there is none. */
export function imageOf({ image, replica }: LaunchSpec): string {
  if (image !== undefined) return image;
  throw new AimError("runtime_failed", `replica ${replica} names no image; give its recipe one`);
}

/** On the host's network nobody but the gateway may reach an engine, which asks for no key. */
function listenerOf({ hostPort }: Findings): Listener {
  return hostPort === undefined ? { host: "0.0.0.0", port: ENGINE_PORT } : { host: "127.0.0.1", port: hostPort };
}

/**
 * Images disagree about their entrypoint ("vllm serve", a shell, none), so it is always overruled. As arrays, hence
 * without a shell: a shell as PID 1 would keep SIGTERM for itself.
 */
function splitCommand(spec: LaunchSpec, listener: Listener): { entrypoint: string[]; args: string[] } {
  const argv = spec.argv.map((word) => fillIn(word, listener));
  const [program, verb] = argv;
  if (program === undefined) throw new AimError("runtime_failed", `replica ${spec.replica} has no command`);
  const words = program === "vllm" && verb === "serve" ? 2 : 1;
  return { entrypoint: argv.slice(0, words), args: argv.slice(words) };
}

function fillIn(text: string, { host, port }: Listener): string {
  return text.replaceAll(HOST_PLACEHOLDER, host).replaceAll(PORT_PLACEHOLDER, String(port));
}

/** What the recipe and the configuration set wins. */
function environment(spec: LaunchSpec, { cache }: CreateContext, found: Findings, listener: Listener): string[] {
  const ours = cacheMount(cache) === undefined ? {} : cacheEnv(spec, found.imageId);
  return Object.entries({ ...ours, ...spec.env }).map(([name, value]) => `${name}=${fillIn(value, listener)}`);
}

/** Whose container it is, what it claims and where it listens is what this driver made of it, whatever the spec says. */
function labels(spec: LaunchSpec, context: CreateContext, { hostPort }: Findings): Record<string, string> {
  return {
    ...spec.labels,
    [LABELS.installation]: context.installation,
    ...(spec.gpus.length === 0 ? {} : { [LABELS.gpus]: spec.gpus.join(","), [DOCKER_LABELS.gpuHost]: context.gpuHost }),
    ...(hostPort === undefined ? {} : { [DOCKER_LABELS.port]: String(hostPort) }),
  };
}

function hostConfig(spec: LaunchSpec, context: CreateContext, access: GpuAccess): HostConfig {
  const published = { [`${ENGINE_PORT}/tcp`]: [{ HostIp: "127.0.0.1", HostPort: "0" }] };
  return {
    // A PID 1 that forwards signals and reaps the engine's workers: SIGKILL can leave GPU memory occupied.
    Init: true,
    RestartPolicy: { Name: "no" },
    LogConfig: { Type: "json-file", Config: { "max-size": "100m", "max-file": "3" } },
    NetworkMode: spec.network === "host" ? "host" : context.network,
    ...(context.publish ? { PortBindings: published } : {}),
    ...(context.binds.length === 0 ? {} : { Binds: [...context.binds] }),
    ...mounts(spec, context),
    ...(spec.capabilities.length === 0 ? {} : { CapAdd: [...spec.capabilities] }),
    ...limits(spec.resources),
    ...gpuRights(access),
  };
}

/** As `Mounts`, since a folder that is missing is an error there; as `Binds` it would be made, empty, and owned by root. */
function mounts(spec: LaunchSpec, { cache, binds }: CreateContext): Partial<HostConfig> {
  const taken = [...binds.map((bind) => bind.split(":")[1] ?? ""), ...spec.mounts.map(({ target }) => target)];
  const shared = taken.some(isAtCache) ? undefined : cacheMount(cache);
  const all: readonly Mount[] = [...(shared === undefined ? [] : [shared]), ...spec.mounts];
  if (all.length === 0) return {};
  return {
    Mounts: all.map(({ source, target, readOnly }) => ({
      Type: source.startsWith("/") ? "bind" : "volume",
      Source: source,
      Target: target,
      ReadOnly: readOnly,
    })),
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
function gpuRights({ nodes, groups, requests, seccomp }: GpuAccess): Partial<HostConfig> {
  return {
    ...(nodes.length === 0
      ? {}
      : {
          Devices: nodes.map(({ onHost, inContainer }) => ({
            PathOnHost: onHost,
            PathInContainer: inContainer,
            CgroupPermissions: "rwm",
          })),
        }),
    ...(requests.length === 0 ? {} : { DeviceRequests: [...requests] }),
    ...(groups.length === 0 ? {} : { GroupAdd: groups.map(String) }),
    ...(seccomp === "default" ? {} : { SecurityOpt: ["seccomp=unconfined"] }),
  };
}
