// The keys of config.yaml, their meaning and their defaults. `docs/reference/config.md` is generated from this.
import { z } from "zod";
import { parseRegistry } from "./catalog/image.ts";
import { ENGINES, PULL_POLICIES } from "./catalog/recipe.ts";
import { capability, imageName } from "./catalog/recipe-schema.ts";
import { keysSchema } from "./config-keys.ts";
import { schedulerSchema } from "./config-scheduler.ts";
import { duration, ending, lasting, limit, size } from "./config-values.ts";
import { textAs } from "./lib/text-schema.ts";

const SOCKET = 'expected the path of a socket such as "/var/run/docker.sock", or "tcp://HOST:PORT" of a proxy';
/** Every container may write to all of it. */
const CACHE = 'expected a volume, an absolute folder of the host below "/" and without "..", or none';
const PORTS = 'expected a range such as "18000-18999"';
/** What AIM_ENGINE_REGISTRY is told as well. */
export const REGISTRY =
  'expected a registry such as "registry.example:5000" or "registry.example/mirror", in lower case and without "https://"';
const ADDRESS = 'expected HOST:PORT such as "127.0.0.1:8000" or "[::1]:8000"';

const address = textAs(parseListen, ADDRESS);

const absolute = z.string().startsWith("/", "expected an absolute folder");

const onExit = z.enum(["keep", "stop"]);

const gpu = z.strictObject({
  id: z.string().min(1).describe("Stable identity, e.g. the PCI address."),
  product: z.string().min(1).describe("As recipes name it in `hardware`, e.g. MI300X."),
  memory: size.describe("Memory of the GPU."),
});

const policySchema = z.strictObject({
  mounts: z
    .array(
      z
        .string()
        .regex(
          /^(\/[^:]*|[A-Za-z0-9][\w.-]+)(:ro)?$/,
          'expected an absolute folder or a volume, such as "/srv/models:ro"',
        )
        .refine((entry) => !entry.split(/[/:]/).includes(".."), 'expected a folder without ".."'),
    )
    .default([])
    .describe("Folders of the host (with all below them) and volumes that recipes may mount; `:ro`: only to read."),
  capabilities: z.array(capability).prefault([]).describe("Linux capabilities that recipes may ask for."),
  hostNetwork: z.boolean().default(false).describe("Whether recipes may use the host's network."),
  processes: z
    .boolean()
    .default(false)
    .describe(
      "Whether recipes may run any program as a local process, with all the gateway's rights. The bundled simulation always may, and all may where `runtime` is `process`.",
    ),
  registries: z
    .array(
      z
        .string()
        .regex(/^[a-z0-9][\w.-]*(:\d+)?(\/[\w.-]+)*\/?$/i, 'expected the beginning of image names, such as "rocm/"'),
    )
    .optional()
    .describe(
      "Where the images that recipes name may come from, e.g. `rocm/` or `registry.example/team/`; from anywhere when absent.",
    ),
});

export const configSchema = z.strictObject({
  listen: address.prefault("127.0.0.1:8000").describe("Address to listen on; anything but loopback needs apiKeys."),
  workers: z
    .int("expected a whole number of threads, such as 2")
    .min(1)
    .max(64)
    .default(1)
    .describe(
      "Threads that serve requests for models, each with a processor core to use; 1: the gateway's only thread. More pay off when one core is busy and others are free.",
    ),
  installation: z
    .string()
    .regex(/^[a-z0-9][a-z0-9_.-]{0,40}$/, "expected lower-case letters, digits, '.', '_' or '-', at most 41")
    .default("aim-engine")
    .describe("Marks the containers and processes of this gateway; two gateways on one machine need two names."),
  registry: textAs(parseRegistry, REGISTRY)
    .optional()
    .describe(
      "Registry that images without one of their own are pulled from, instead of Docker's; also `AIM_ENGINE_REGISTRY`.",
    ),
  policy: policySchema
    .prefault({})
    .describe("What recipes may ask for beyond GPUs, memory and a command; everything else is refused by name."),
  runtime: z.enum(["docker", "process"]).default("docker").describe("Where recipes run that name no runtime."),
  recipes: z
    .union([z.string(), z.array(z.string())])
    .default("recipes")
    .describe("Folder of recipes, or several."),
  stateDir: z
    .string()
    .default(".aim-engine")
    .describe("Folder for files of its own; it may be deleted while the gateway is stopped."),
  logDir: z.string().optional().describe("Output of replicas; `logs` in stateDir unless given."),
  keepAlive: duration.prefault("5m").describe("Idle time before a model is unloaded, for recipes that say nothing."),
  maxHold: duration.prefault("10m").describe("Longest wait for a model of a request that is not streamed."),
  maxStreamHold: duration.prefault("1h").describe("Longest wait for a model of a streamed request."),
  startTimeout: lasting
    .prefault("30m")
    .describe(
      "Longest time from the start of a container to ready, for recipes that say nothing; up to three times as long while the load goes on. A phase of the load in which nothing moves is given up after 10m (compiling: 20m), or after this time if it is shorter.",
    ),
  stopGrace: ending
    .prefault("1m")
    .describe("How long a replica may take to end by itself; ROCm engines need at least 30s."),
  gpuRecovery: ending
    .prefault("1m")
    .describe("How long a GPU's memory may take to come back after its replica is gone, before it is quarantined."),
  drainTimeout: ending
    .prefault("30s")
    .describe("How long requests in flight may take to finish when the gateway stops."),
  maxBody: size.prefault("64m").describe("Largest request body."),
  maxWaiting: z
    .int()
    .min(1)
    .default(1000)
    .describe("Most requests that may wait for one model; those of each key at least its share of them."),
  maxWaitingTotal: z.int().min(1).default(10_000).describe("Most requests that may wait for all models together."),
  maxWaitingBytes: size.prefault("512m").describe("Most request bytes held by waiting requests, of all models."),
  timeouts: z
    .strictObject({
      connect: limit.prefault("2s").describe("Connecting to a replica."),
      firstByte: limit.prefault("30m").describe("From the request to the first byte of a replica's answer."),
      idle: limit
        .prefault("5m")
        .describe("Silence within an answer, of the replica or of a client that does not read."),
      total: limit
        .prefault("forever")
        .describe("From the request to the last byte of a replica's answer; waiting for a replica does not count."),
      progress: duration
        .prefault("3m")
        .describe("How long an engine may have requests and process no token before it is replaced; forever: never."),
    })
    .prefault({})
    .describe("Limits of one request, for recipes that say nothing."),
  apiKeys: keysSchema
    .default([])
    .describe(
      "Keys that clients must send, each as text or with name, weight, priority and mayStart; use ${NAME} to take them from the environment.",
    ),
  scheduler: schedulerSchema.prefault({}).describe("How the GPUs are shared out between models."),
  insecure: z.boolean().default(false).describe("Allow listening on other addresses than loopback without apiKeys."),
  env: z
    .record(z.string().regex(/^[A-Za-z_]\w*$/, "expected the name of an environment variable"), z.string())
    .default({})
    .describe(
      "Environment of every engine, below what its recipe says. The place for secrets: `HF_TOKEN: ${HF_TOKEN}`.",
    ),
  images: z
    .partialRecord(z.enum(ENGINES), imageName)
    .default({})
    .describe("Container image per engine, for recipes that name none."),
  docker: z
    .strictObject({
      socket: z
        .string()
        .regex(/^((unix:\/\/)?\/.+|tcp:\/\/(\[[0-9a-f:]+\]|[\w.-]+):\d{1,5}\/?)$/i, SOCKET)
        .default("/var/run/docker.sock")
        .describe("The Docker Engine's socket, or `tcp://HOST:PORT` of a proxy in front of it."),
      network: z
        .string()
        .regex(
          /^(?!(host|none)$)[A-Za-z0-9][\w.-]*$/,
          'expected the name of a network of containers; the host\'s is for recipes that say "network: host"',
        )
        .optional()
        .describe("Network of the containers, created if missing; Docker's default bridge otherwise."),
      cache: z
        .string()
        .regex(/^([A-Za-z0-9][\w.-]+|\/[^:]*[^:/][^:]*)$/, CACHE)
        .refine((text) => !text.split("/").includes(".."), CACHE)
        .default("aim-engine-cache")
        .describe(
          "Volume, or absolute folder of the host, that keeps weights and compiled kernels; `none`: they go with each container.",
        ),
      binds: z
        .array(
          z
            .string()
            .regex(/^[^:]+:\/[^:]*(:[\w,]+)?$/, 'expected "SOURCE:TARGET" or "SOURCE:TARGET:ro", the target absolute'),
        )
        .default([])
        .describe("Other volumes and folders of every container, as `docker run -v` takes them."),
      pull: z
        .enum(PULL_POLICIES)
        .default("missing")
        .describe(
          "When images are fetched, for recipes that say nothing: missing, always (before each start) or never.",
        ),
      pullSilence: lasting
        .prefault("2m")
        .describe("How long nothing may be heard of a pull before it is given up; a pull that goes on has no limit."),
      gpuAccess: z
        .enum(["auto", "devices", "cdi", "nvidia"])
        .default("auto")
        .describe(
          "How containers get their GPUs: device nodes, CDI devices, or NVIDIA's runtime; auto: device nodes for AMD, and for NVIDIA what the engine offers.",
        ),
      hostPorts: z
        .string({ error: PORTS })
        .refine(isPortRange, PORTS)
        .default("18000-18999")
        .describe("Ports of replicas that use the host's network."),
      publish: z
        .boolean()
        .default(false)
        .describe("Reach replicas through ports published on 127.0.0.1 instead of their own address."),
      onExit: onExit
        .default("keep")
        .describe("What becomes of its replicas when the gateway stops: keep (adopted later) or stop."),
      sysRoot: absolute.default("/sys").describe("Where GPUs are discovered."),
      devRoot: absolute.default("/dev").describe("Where the device nodes of GPUs are."),
      shm: size.prefault("16g").describe("Shared memory of replicas with GPUs."),
    })
    .prefault({})
    .describe("The docker runtime."),
  process: z
    .strictObject({
      gpus: z.array(gpu).default([]).describe("GPUs that local processes may use; none unless listed."),
      onExit: onExit
        .default("stop")
        .describe("What becomes of its replicas when the gateway stops: keep (adopted later) or stop."),
    })
    .prefault({})
    .describe("The process runtime, for development."),
  log: z
    .strictObject({ level: z.enum(["trace", "debug", "info", "warn", "error", "silent"]).default("info") })
    .prefault({})
    .describe("The gateway's own log."),
});

/** What remains of a file after checking: durations in ms, sizes in bytes. */
export type Settings = z.output<typeof configSchema>;

/** "HOST:PORT"; the host may be an IPv6 address in brackets. Undefined when it is neither. */
export function parseListen(text: string): { readonly host: string; readonly port: number } | undefined {
  const match = /^(\[[0-9a-f:]+\]|[^:\s]+):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[2]);
  const host = match?.[1]?.replaceAll(/[[\]]/g, "");
  return host === undefined || port > 65_535 ? undefined : { host, port };
}

function isPortRange(text: string): boolean {
  const [, first = 0, last = 0] = (/^(\d{4,5})-(\d{4,5})$/.exec(text) ?? []).map(Number);
  return first > 0 && first <= last && last <= 65_535;
}
