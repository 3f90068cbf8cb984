// The runtimes and what is known of engines, made from the configuration: the one place that names concrete drivers.
import type { Catalog } from "./catalog/catalog.ts";
import type { RuntimeName } from "./catalog/recipe.ts";
import type { Config } from "./config.ts";
import type { ControlPlaneDeps } from "./control/plane.ts";
import { systemClock as clock } from "./lib/clock.ts";
import { runAll } from "./lib/run-all.ts";
import { DockerDriver } from "./runtime/docker/driver.ts";
import type { RuntimeDriver } from "./runtime/driver.ts";
import { classifyFailure } from "./runtime/failure.ts";
import { ProcessDriver } from "./runtime/process/driver.ts";
import { createEngineSleep } from "./runtime/engine-sleep.ts";
import { parseProgress } from "./runtime/progress.ts";
import { awaitReady, createReadinessProbe } from "./runtime/readiness.ts";
import type { Logger } from "./telemetry/logger.ts";

/** The runtimes that recipes need, and local processes always: replicas that run there are adopted even without a recipe. */
export function createDrivers(
  config: Config,
  catalog: Catalog,
  logger: Logger,
): ReadonlyMap<RuntimeName, RuntimeDriver> {
  const { installation, docker, logDir } = config;
  const drivers = new Map<RuntimeName, RuntimeDriver>();
  const wanted = new Set(catalog.recipes.map((recipe) => recipe.runtime ?? config.runtime));
  if (wanted.has("docker")) {
    const { socket: socketPath, network, publish, gpuAccess, cache, binds, hostPorts, sysRoot, devRoot } = docker;
    const devices = { sysRoot, devRoot };
    const onNetwork = network === undefined ? {} : { network };
    drivers.set(
      "docker",
      new DockerDriver({
        installation,
        socketPath,
        ...onNetwork,
        publish,
        devices,
        gpuAccess,
        cache,
        binds,
        hostPorts,
        logDir,
        pullSilenceMs: docker.pullSilence,
        clock,
        logger,
      }),
    );
  }
  const baseEnv = config.processEnvironment;
  const gpus = config.process.gpus.map(({ id, product, memory }) => ({
    id,
    product,
    memoryBytes: memory,
    vendor: "none" as const,
  }));
  // Last, since it is at work from here on, and Docker's settings may be refused.
  drivers.set("process", new ProcessDriver({ installation, logDir, gpus, baseEnv, clock, logger }));
  return drivers;
}

/** The engines as the control plane uses them, over connections that are closed with it. */
export type Engines = ControlPlaneDeps["engines"] & { close(): Promise<void> };

/** What only the runtime layer knows of engines: whether one answers, how it sleeps, and what its log lines mean. */
export function openEngines(): Engines {
  const probe = createReadinessProbe({ clock });
  const sleep = createEngineSleep({ clock });
  return {
    close: () => runAll([() => probe.close(), () => sleep.close()]),
    isAsleep: (address, signal) => sleep.isAsleep(address, signal),
    fallAsleep: (address, level, signal) => sleep.fallAsleep(address, level, signal),
    wakeUp: (address, level, signal) => sleep.wakeUp(address, level, signal),
    awaitReady: (candidate, signal) => awaitReady(probe, candidate, signal),
    answers: async (address, readiness, signal) => (await probe.isReady(address, readiness, signal)).ready,
    generates: (address, model, signal) => probe.generates(address, model, signal),
    loadOf: (address, signal) => probe.load(address, signal),
    parseProgress,
    diagnose: classifyFailure,
  };
}
