// What could keep the Docker Engine from running replicas well: access, version, disk, limits, the way to its containers.
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import { formatSize } from "../../lib/units.ts";
import type { Check } from "../driver.ts";
import { ok, problem, problemOf, textOf, warning } from "../findings.ts";
import { examineGpus, type GpuCheckRoots } from "../gpu-checks.ts";
import { LIMITS, ask, type DockerClient } from "./client.ts";
import { DEFAULT_NETWORK } from "./network.ts";

export interface DockerExamination {
  readonly client: DockerClient;
  /** The replicas' network; Docker's default bridge when absent. */
  readonly network?: string;
  /** Of the machine whose GPUs replicas get. */
  readonly roots: GpuCheckRoots;
  readonly clock: Clock;
}

/** An image of ROCm and vLLM is some 22 GB to fetch, and much more unpacked; weights come on top. */
const IMAGE_BYTES = 100 * 2 ** 30;
const NO_ROOM_BYTES = 40 * 2 ** 30;
/** Log times, `since` and token expiry go wrong from here on. */
const SKEW_MS = 2_000;
/** Each layer is a full copy with this one. */
const COPYING_STORAGE = "vfs";

const versionAnswer = z.object({ Version: z.string().default("unknown"), ApiVersion: z.string().default("unknown") });

/** Only what is looked at; old engines leave some of it out. */
const infoAnswer = z.object({
  Driver: z.string().optional(),
  DockerRootDir: z.string().optional(),
  Plugins: z.object({ Log: z.array(z.string()).nullish() }).optional(),
  LoggingDriver: z.string().optional(),
  CgroupVersion: z.string().optional(),
  MemoryLimit: z.boolean().optional(),
  SwapLimit: z.boolean().optional(),
  LiveRestoreEnabled: z.boolean().optional(),
  SystemTime: z.string().optional(),
  Runtimes: z.record(z.string(), z.unknown()).nullish(),
  DiscoveredDevices: z.array(z.object({ ID: z.string() })).nullish(),
});

type Info = z.infer<typeof infoAnswer>;

/** The engine, and the GPUs it gives to replicas. Never rejects but when the signal aborts: whatever fails is a finding. */
export async function examineDocker(options: DockerExamination, signal: AbortSignal): Promise<readonly Check[]> {
  return [...(await examineEngine(options, signal)), ...(await examineGpus(options.roots, signal))];
}

async function examineEngine(options: DockerExamination, signal: AbortSignal): Promise<readonly Check[]> {
  const { client, clock, roots } = options;
  try {
    const version = versionAnswer.parse(await get(client, "/version", signal));
    const askedAt = clock.wallNow();
    const info = infoAnswer.parse(await get(client, "/info", signal));
    return [
      ok("docker", `Engine ${version.Version}, API ${version.ApiVersion}`),
      ...(await checkDisk(info)),
      ...checkStorage(info),
      ...checkLogs(info),
      ...checkLimits(info),
      ...checkLiveRestore(info),
      checkDevices(info),
      ...checkClock(info, askedAt, clock.wallNow()),
      ...(await checkNetwork(client, options.network ?? DEFAULT_NETWORK, roots.procRoot, signal)),
    ];
  } catch (error) {
    signal.throwIfAborted();
    return [problemOf("docker", error, "docker info")];
  }
}

function get(client: DockerClient, path: string, signal: AbortSignal): Promise<unknown> {
  return client.call(`answer ${path}`, LIMITS.look, signal, (docker, aborting) => ask(docker, path, aborting));
}

/** Only where Docker's folder can be seen from here: not from a container, nor over TCP. */
async function checkDisk({ DockerRootDir: folder }: Info): Promise<readonly Check[]> {
  const disk = folder === undefined ? undefined : await statfs(folder).catch(() => undefined);
  if (disk === undefined) return [];
  const free = disk.bavail * disk.bsize;
  const found = `${folder}: ${formatSize(free)} free`;
  if (free >= IMAGE_BYTES) return [ok("docker disk", found)];
  const fix =
    'docker system df shows what takes it; "docker image prune" frees old images, "data-root" in /etc/docker/daemon.json moves all of it';
  const short = `${found}, and an image of vLLM is 22 GB before it is unpacked; weights come on top`;
  return [(free < NO_ROOM_BYTES ? problem : warning)("docker disk", short, fix)];
}

function checkStorage({ Driver: driver }: Info): readonly Check[] {
  if (driver === undefined) return [];
  if (driver !== COPYING_STORAGE) return [ok("docker storage", driver)];
  const fix = 'set "storage-driver": "overlay2" in /etc/docker/daemon.json, then sudo systemctl restart docker';
  return [warning("docker storage", `${driver} copies the whole image for every layer and container`, fix)];
}

/** Ours name their log driver themselves, whatever the default is. */
function checkLogs({ Plugins: plugins, LoggingDriver: byDefault }: Info): readonly Check[] {
  const drivers = plugins?.Log ?? [];
  if (drivers.length === 0) return [];
  if (drivers.includes("json-file")) return [ok("docker logs", `json-file for replicas (default: ${byDefault})`)];
  return [
    problem("docker logs", "there is no json-file log driver, which replicas use", "install Docker's own Engine"),
  ];
}

function checkLimits({ CgroupVersion: version, MemoryLimit: memory, SwapLimit: swap }: Info): readonly Check[] {
  if (memory === undefined) return [];
  const cgroups = version === undefined ? "" : ` (cgroup v${version})`;
  const fix =
    'add "cgroup_enable=memory swapaccount=1" to GRUB_CMDLINE_LINUX in /etc/default/grub, then sudo update-grub and reboot';
  if (!memory) return [warning("memory limits", `the kernel cannot limit a container's memory${cgroups}`, fix)];
  if (swap === false) return [warning("memory limits", `memory is limited, swap is not${cgroups}`, fix)];
  return [ok("memory limits", `kept, swap too${cgroups}`)];
}

function checkLiveRestore({ LiveRestoreEnabled: isOn }: Info): readonly Check[] {
  if (isOn === undefined) return [];
  if (isOn) return [ok("live-restore", "on: models live through a restart of Docker")];
  const fix = 'add "live-restore": true to /etc/docker/daemon.json, then sudo systemctl reload docker';
  return [warning("live-restore", "off: a restart or update of Docker stops every model", fix)];
}

/** Nothing is wrong with having none: AMD's GPUs are passed as device nodes. */
function checkDevices({ Runtimes: runtimes, DiscoveredDevices: devices }: Info): Check {
  const names = Object.keys(runtimes ?? {}).filter((name) => !name.startsWith("io.containerd."));
  const kinds = new Set((devices ?? []).map(({ ID: id }) => id.split("=")[0]));
  const cdi = kinds.size === 0 ? "no CDI devices" : `CDI: ${[...kinds].join(", ")}`;
  return ok("docker devices", `runtimes: ${names.join(", ")}; ${cdi}`);
}

function checkClock({ SystemTime: text }: Info, askedAt: number, answeredAt: number): readonly Check[] {
  const theirs = Date.parse(text ?? "");
  if (Number.isNaN(theirs)) return [];
  const skew = theirs < askedAt ? askedAt - theirs : Math.max(0, theirs - answeredAt);
  if (skew <= SKEW_MS) return [ok("clock", "agrees with Docker's")];
  const found = `Docker's clock is ${Math.round(skew / 1000)} s ${theirs < askedAt ? "behind" : "ahead of"} this one`;
  return [warning("clock", found, "sudo timedatectl set-ntp true, on both machines")];
}

const networkAnswer = z.object({
  IPAM: z.object({ Config: z.array(z.object({ Subnet: z.string().optional() })).nullish() }).optional(),
});

/** Replicas are dialled at their own address: a route straight into their network has to be there. */
async function checkNetwork(
  client: DockerClient,
  network: string,
  procRoot: string,
  signal: AbortSignal,
): Promise<readonly Check[]> {
  const listed = z.array(networkAnswer.extend({ Name: z.string() })).parse(await get(client, "/networks", signal));
  const found = listed.find(({ Name: name }) => name === network);
  if (found === undefined) return [ok("docker network", `${network} will be made when a replica needs it`)];
  const subnets = (found.IPAM?.Config ?? []).flatMap(({ Subnet: subnet }) => subnet ?? []);
  const routes = await directRoutes(procRoot);
  if (routes === undefined || subnets.length === 0) return [];
  const name = `${network} (${subnets.join(", ")})`;
  if (subnets.some((subnet) => routes.has(subnet))) return [ok("docker network", `${name} can be reached`)];
  const fix =
    network === DEFAULT_NETWORK
      ? "set docker.network to a name of its own, which a gateway in a container joins; on Docker Desktop set docker.publish: true"
      : `docker network connect ${network} CONTAINER, for the container this runs in; on Docker Desktop set docker.publish: true`;
  return [warning("docker network", `there is no route from here to ${name}, where replicas listen`, fix)];
}

/** Subnets that are reached without a gateway in between; undefined where the table cannot be read. */
async function directRoutes(procRoot: string): Promise<ReadonlySet<string> | undefined> {
  const table = await textOf(join(procRoot, "net/route"));
  if (table === undefined) return undefined;
  const routes = table
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/));
  const direct = routes.filter(([, , gateway]) => gateway === "00000000");
  return new Set(direct.map(([, destination = "", , , , , , mask = ""]) => `${dotted(destination)}/${ones(mask)}`));
}

/** The kernel prints addresses as it stores them, lowest byte last: "000011AC" is 172.17.0.0. */
function dotted(hex: string): string {
  return (hex.match(/../g) ?? [])
    .reverse()
    .map((byte) => parseInt(byte, 16))
    .join(".");
}

function ones(hex: string): number {
  return parseInt(hex, 16).toString(2).replaceAll("0", "").length;
}
