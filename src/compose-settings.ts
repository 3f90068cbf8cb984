// The configuration in the shapes that the parts ask for.
import { totalmem } from "node:os";
import type { CatalogOptions } from "./catalog/catalog.ts";
import { isLoopback, type Config } from "./config.ts";
import type { ControlPlaneSettings } from "./control/plane.ts";
import type { GatewaySettings } from "./gateway/deps.ts";
import { loopbackHosts } from "./gateway/hosts.ts";
import type { ApiKey } from "./gateway/keys.ts";

const RECONCILE_EVERY_MS = 10_000;
const FIRST_HEARTBEAT_MS = 500;
const HEARTBEAT_MS = 10_000;
const PROGRESS_MS = 2_000;
/** Less than the five seconds for which uvicorn keeps idle connections open. */
const UPSTREAM_IDLE_MS = 4_000;

export function controlSettings(config: Config): ControlPlaneSettings {
  const { installation, keepAlive, runtime, maxHold, startTimeout, stopGrace, docker, images, scheduler } = config;
  const runtimes = [
    { name: "docker", onExit: docker.onExit },
    { name: "process", onExit: config.process.onExit },
  ] as const;
  return {
    installation,
    keepAliveMs: keepAlive,
    defaultRuntime: runtime,
    maxHoldMs: maxHold,
    logDir: config.logDir,
    recoveryMs: config.gpuRecovery,
    waiters: {
      maxPerModel: config.maxWaiting,
      maxTotal: config.maxWaitingTotal,
      maxBytes: config.maxWaitingBytes,
    },
    scheduling: {
      minResidencyMs: scheduler.minResidency,
      maxWaitMs: scheduler.maxWait,
      maxStarts: scheduler.maxStarts,
      abortsUnwanted: scheduler.abortUnwanted,
      sleepMemoryBytes: scheduler.sleepMemory ?? totalmem() / 2,
    },
    balance: scheduler.balance,
    scaling: { upMs: scheduler.scaleUp, downMs: scheduler.scaleDown },
    keepAliveMaxMs: scheduler.keepAliveMax,
    launch: {
      images,
      registry: config.registry,
      startTimeoutMs: startTimeout,
      stopGraceMs: stopGrace,
      shmBytes: docker.shm,
      pull: docker.pull,
      env: config.env,
      self: [process.execPath, `${import.meta.dirname}/main.ts`],
    },
    reconcileEveryMs: RECONCILE_EVERY_MS,
    progressMs: config.timeouts.progress,
    keepOnExit: new Set(runtimes.filter(({ onExit }) => onExit === "keep").map(({ name }) => name)),
  };
}

export function catalogOptions({ policy, registry, docker, runtime }: Config): CatalogOptions {
  const processes = policy.processes || runtime === "process";
  return { policy: { ...policy, processes, registry, dockerSocket: docker.socket } };
}

export function gatewaySettings(config: Config): GatewaySettings {
  return {
    maxBodyBytes: config.maxBody,
    maxHoldMs: config.maxHold,
    maxStreamHoldMs: config.maxStreamHold,
    firstHeartbeatMs: FIRST_HEARTBEAT_MS,
    heartbeatMs: HEARTBEAT_MS,
    progressMs: PROGRESS_MS,
    connectTimeoutMs: config.timeouts.connect,
    firstByteTimeoutMs: config.timeouts.firstByte,
    idleTimeoutMs: config.timeouts.idle,
    totalTimeoutMs: config.timeouts.total,
    upstreamIdleMs: UPSTREAM_IDLE_MS,
  };
}

/** Undefined: any. Only where others cannot reach it do its names tell a web page that poses as it. */
export function allowedHosts({ listen }: Pick<Config, "listen">): readonly string[] | undefined {
  return isLoopback(listen.host) ? loopbackHosts(listen.host) : undefined;
}

/** One without a name is called by its place, never by a piece of the key. */
export function apiKeys({ apiKeys: entries }: Pick<Config, "apiKeys">): readonly ApiKey[] {
  return entries.map((entry, at) => {
    const name = `key-${at + 1}`;
    return typeof entry === "string"
      ? { key: entry, name, weight: 1, priority: "normal", mayStart: true }
      : { ...entry, name: entry.name ?? name };
  });
}
