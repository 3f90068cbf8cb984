// The keys of config.yaml, their meaning and their defaults. `docs/reference/config.md` is generated from this.
import { z } from "zod";
import { parseRegistry } from "./catalog/image.ts";
import { ENGINES, PULL_POLICIES } from "./catalog/recipe.ts";
import { capability, imageName } from "./catalog/recipe-schema.ts";
import { textAs } from "./lib/text-schema.ts";
import { parseDuration, parseSize } from "./lib/units.ts";

const DURATION = 'expected a duration such as "30s", "5m", "1h30m" or "forever"';
const SIZE = 'expected a size such as "512m" or "64g"';
const ENDING = 'expected a time that ends, such as "30s" or "5m"';
const SOCKET = 'expected the path of a socket such as "/var/run/docker.sock", or "tcp://HOST:PORT" of a proxy';
/** Every container may write to all of it. */
const CACHE = 'expected a volume, an absolute folder of the host below "/" and without "..", or none';
const PORTS = 'expected a range such as "18000-18999"';
/** What AIM_ENGINE_REGISTRY is told as well. */
export const REGISTRY =
  'expected a registry such as "registry.example:5000" or "registry.example/mirror", in lower case and without "https://"';
const ADDRESS = 'expected HOST:PORT such as "127.0.0.1:8000" or "[::1]:8000"';

/** "5m", "1h30m", "forever" → milliseconds. */
const duration = textAs(parseDuration, DURATION);
/** Every wait is bounded: "forever" is none of these. */
const ending = textAs((text) => {
  const ms = parseDuration(text);
  return ms === Infinity ? undefined : ms;
}, ENDING);
const lasting = ending.refine((ms) => ms > 0, ENDING);
/** "64g" → bytes. */
const size = textAs(parseSize, SIZE);
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

const schedulerSchema = z.strictObject({
  minResidency: ending
    .prefault("5m")
    .describe(
      "Least time for which a model that is in use keeps its GPUs when another one wants them; five times its load where that is shorter.",
    ),
  maxWait: ending
    .prefault("8m")
    .describe(
      "How long requests wait for a model that is in use to give way; after that it gets no new ones and is drained.",
    ),
  maxStarts: z.int().min(1).default(4).describe("Most replicas that load at the same time."),
  abortUnwanted: z
    .boolean()
    .default(true)
    .describe("Whether a load that nobody waits for any more is given up when another model needs its GPUs."),
  scaleUp: lasting
    .prefault("15s")
    .describe(
      "How long there must be more to do than the replicas of a model should have, before one more is started.",
    ),
  scaleDown: lasting.prefault("5m").describe("How long fewer replicas must have been enough, before one is drained."),
  sleepMemory: size
    .optional()
    .describe("Most of the host's memory that sleeping replicas may take together; half of it when absent."),
  keepAliveMax: duration
    .prefault("forever")
    .describe("Longest keep-alive that a request may ask for; what asks for more gets this."),
});

/** A plain text is a key that may do everything. */
const apiKeySchema = z.union([
  z.string().min(8),
  z.strictObject({
    key: z.string().min(8).describe("The key itself; use ${NAME} to take it from the environment."),
    name: z
      .string()
      .regex(/^[\w.-]{1,40}$/, "expected up to 40 letters, digits, '.', '_' or '-'")
      .optional()
      .describe("What logs call it; keys of one name share their turn."),
    weight: z.int().min(1).max(100).default(1).describe("How many of its waiting requests are served in its turn."),
    priority: z
      .enum(["high", "normal", "low"])
      .default("normal")
      .describe("Priority of its requests, which may ask for a lower one only."),
    mayStart: z
      .boolean()
      .default(true)
      .describe("Whether its requests may start a model that does not run; otherwise they are refused."),
  }),
]);

export const configSchema = z.strictObject({
  listen: address.prefault("127.0.0.1:8000").describe("Address to listen on; anything but loopback needs apiKeys."),
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
      connect: duration.prefault("2s").describe("Connecting to a replica."),
      firstByte: duration.prefault("30m").describe("From the request to the first byte of a replica's answer."),
      idle: duration.prefault("5m").describe("Silence within an answer."),
      progress: duration
        .prefault("3m")
        .describe("How long an engine may have requests and process no token before it is replaced; forever: never."),
    })
    .prefault({})
    .describe("Limits of one request."),
  apiKeys: z
    .array(apiKeySchema)
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
