// The composition root: configuration in, a running gateway out. Wiring only.
import { createAdminRoutes } from "./admin/routes.ts";
import { loadCatalog, type Catalog } from "./catalog/catalog.ts";
import { examineSurroundings } from "./compose-doctor.ts";
import { createDrivers, openEngines } from "./compose-runtimes.ts";
import { allowedHosts, apiKeys, catalogOptions, controlSettings, gatewaySettings } from "./compose-settings.ts";
import { openWorkshop, type Workforce, type Workshop } from "./compose-workers.ts";
import { controlView, modelDirectory, modelResolver } from "./compose-views.ts";
import type { Config } from "./config.ts";
import type { EstimateStore } from "./control/launcher/estimates.ts";
import { startControlPlane } from "./control/plane.ts";
import type { Status } from "./control/operations/status.ts";
import { createApp } from "./gateway/app.ts";
import { bindPort, type BoundPort } from "./gateway/server.ts";
import { systemClock } from "./lib/clock.ts";
import { JsonFile } from "./lib/json-file.ts";
import { runAll } from "./lib/run-all.ts";
import { systemRandom } from "./lib/random.ts";
import { lockInstallation, type InstallationLock } from "./runtime/installation-lock.ts";
import { EventLog } from "./telemetry/events.ts";
import type { Logger } from "./telemetry/logger.ts";
import { createMetrics } from "./telemetry/metrics.ts";

export interface System {
  readonly url: URL;
  readonly catalog: Catalog;
  readonly status: Status;
  /** Resolves when it is known what can be served and what not. */
  readonly surveyed: Promise<unknown>;
  /** Finishes what is in flight, then ends; replicas stay or go as the configuration says. Idempotent. */
  stop(): Promise<void>;
}

const clock = systemClock;
/** For the last words to those whose requests are cut. */
const LAST_WORDS_MS = 1_000;

/** @throws AimError when a recipe folder is missing, the address is taken, or another gateway uses the installation. */
export async function compose(config: Config, host: Host): Promise<System> {
  const catalog = await loadCatalog(config.recipes, catalogOptions(config));
  // Before anything touches a replica: a gateway that is started a second time by mistake must leave the first one's alone.
  const workshop = config.workers === 1 ? undefined : await openWorkshop(config, host.logger);
  const port = workshop?.port ?? (await bindPort({ ...config.listen, logger: host.logger }));
  try {
    const lock = await lockInstallation(config.installation);
    return await withWorkers(serveOn(port, { config, catalog, host, lock, workshop }));
  } catch (error) {
    await port.close(0);
    throw error;
  }
}

async function withWorkers({ system, workers }: Served): Promise<System> {
  try {
    await workers?.start();
    return system;
  } catch (error) {
    await system.stop();
    throw error;
  }
}

interface Host {
  readonly logger: Logger;
  readonly version: string;
}

interface Parts {
  readonly config: Config;
  readonly catalog: Catalog;
  readonly host: Host;
  readonly lock: InstallationLock;
  /** Where there is more than one thread. */
  readonly workshop: Workshop | undefined;
}

interface Served {
  readonly system: System;
  readonly workers: Workforce | undefined;
}

function serveOn(port: BoundPort, { config, catalog, host: { logger, version }, lock, workshop }: Parts): Served {
  const metrics = createMetrics({ processMetrics: true, version });
  const events = new EventLog(clock);
  const engines = openEngines();
  const control = startControlPlane({
    clock,
    catalog,
    drivers: createDrivers(config, catalog, logger),
    events,
    metrics,
    logger,
    engines,
    estimateStore: estimateStore(config),
    settings: controlSettings(config),
    ...(workshop && { lender: workshop.lender }),
  });
  const stopping = new AbortController();
  const cutting = new AbortController();
  const workers = workshop?.employ({ control, catalog, logger });
  const app = createApp({
    pool: control.pool,
    directory: modelDirectory(catalog, control.status, clock),
    resolve: modelResolver(catalog, gatewaySettings(config)),
    nearest: (name) => catalog.nearest(name),
    admin: createAdminRoutes({
      view: controlView(control, (signal) => examineSurroundings(config, catalog, signal)),
      events,
      metrics,
      beforeMetrics: () => control.status.measure(metrics),
      ...(workers && { scrape: () => workers.scrape(metrics) }),
      version,
      logger,
      clock,
      stopping: stopping.signal,
    }),
    keys: apiKeys(config),
    allowedHosts: allowedHosts(config),
    settings: gatewaySettings(config),
    clock,
    random: systemRandom,
    metrics,
    logger,
    draining: stopping.signal,
    cutting: cutting.signal,
  });
  port.serve(app);
  const stop = async () => {
    stopping.abort(new Error("the gateway is shutting down"));
    // What waits for a replica would not get one any more.
    control.fleet.close();
    await runAll([
      () => endServing({ port, workers, cutting }, config.drainTimeout),
      () => control.stop(),
      () => engines.close(),
      () => lock.release(),
    ]);
  };
  let stopped: Promise<void> | undefined;
  const stopOnce = () => (stopped ??= stop());
  return { system: { ...control, url: port.url, catalog, stop: stopOnce }, workers };
}

interface Serving {
  readonly port: BoundPort;
  readonly workers: Workforce | undefined;
  readonly cutting: AbortController;
}

/** What is under way has so long to finish. */
async function endServing({ port, workers, cutting }: Serving, graceMs: number): Promise<void> {
  workers?.drain();
  const cut = clock.setTimer(graceMs, () => {
    cutting.abort();
    workers?.cut();
  });
  // The port last: what workers pass on arrives there.
  await runAll([() => workers?.close(graceMs + LAST_WORDS_MS), () => port.close(graceMs + LAST_WORDS_MS)]);
  cut.cancel();
}

/** What is learned of starts: a cache, which may be deleted. */
function estimateStore({ stateDir }: Config): EstimateStore {
  const file = new JsonFile(`${stateDir}/estimates.json`);
  return { load: () => file.read(), save: (value) => file.write(value) };
}
