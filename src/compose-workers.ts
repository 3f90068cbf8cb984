// The workers of a gateway that has several threads, wired to the control plane, which stays in the main one.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { Catalog } from "./catalog/catalog.ts";
import { allowedHosts, apiKeys, gatewaySettings } from "./compose-settings.ts";
import type { WorkerStart } from "./compose-worker.ts";
import type { Config } from "./config.ts";
import type { ControlPlane } from "./control/plane.ts";
import { bindPort, type BoundPort } from "./gateway/server.ts";
import { clockStart, systemClock as clock } from "./lib/clock.ts";
import { startLoop } from "./lib/loop.ts";
import { runAll } from "./lib/run-all.ts";
import { addedUp } from "./telemetry/gathering.ts";
import { addLines, type Logger } from "./telemetry/logger.ts";
import type { Metrics } from "./telemetry/metrics.ts";
import { Crew, type Thread } from "./workers/crew.ts";
import { TallyLender } from "./workers/lender.ts";
import { Tally, tallyMemory } from "./workers/tally.ts";

/** How often it is looked what workers gave out. */
const SWEEP_MS = 1_000;

/** What is there before the control plane: places to lend from, and the main thread's own port behind the public one. */
export interface Workshop {
  /** Takes what workers pass on; its address is the public one. */
  readonly port: BoundPort;
  readonly lender: TallyLender;
  employ(staff: Staff): Workforce;
}

interface Staff {
  readonly control: ControlPlane;
  readonly catalog: Catalog;
  readonly logger: Logger;
}

export interface Workforce {
  /** Resolves when all workers accept connections. */
  start(): Promise<void>;
  scrape(metrics: Metrics): Promise<string>;
  drain(): void;
  cut(): void;
  /** As a port's `close`. */
  close(graceMs: number): Promise<void>;
}

/** Rejects with `invalid_config` where the port cannot be had; from here on to the workers' start nobody holds it. */
export async function openWorkshop(config: Config, logger: Logger): Promise<Workshop> {
  const { url } = await bindPort({ ...config.listen, logger }).then(async (probe) => {
    await probe.close(0);
    return probe;
  });
  const folder = await mkdtemp(join(tmpdir(), "aim-engine-"));
  const socketPath = join(folder, "main.sock");
  const leave = () => rm(folder, { recursive: true, force: true });
  const inner = await bindPort({ ...config.listen, path: socketPath, logger }).catch(async (error: unknown) => {
    await leave();
    throw error;
  });
  const close = (graceMs: number) => runAll([() => inner.close(graceMs), leave]);
  const memory = tallyMemory(config.workers);
  const lender = new TallyLender(new Tally(memory), config.scheduler.balance);
  const shared = { memory, clockStart: clockStart(), socketPath, listen: { ...config.listen, port: Number(url.port) } };
  return {
    port: { url, serve: (app) => inner.serve(app), close },
    lender,
    employ(staff) {
      const start = (number: number) => startThread({ number, ...shared, ...startOf(config, staff) });
      return createWorkforce(config, { staff, lender, start });
    },
  };
}

function startThread(workerData: WorkerStart): Thread {
  const file = join(import.meta.dirname, "compose-worker.ts");
  const worker = new Worker(file, { workerData, name: `worker ${workerData.number}` });
  return {
    tell: (order) => worker.postMessage(order, []),
    onReport: (listener) => worker.on("message", listener),
    onError: (listener) => worker.on("error", listener),
    onEnd: (listener) => worker.on("exit", listener),
    terminate: () => worker.terminate(),
  };
}

type OfAll = Omit<WorkerStart, "number" | "memory" | "clockStart" | "socketPath" | "listen">;

function startOf(config: Config, { catalog }: Staff): OfAll {
  const log = { level: config.log.level, pretty: process.stdout.isTTY };
  const { recipes } = catalog;
  return { log, recipes, settings: gatewaySettings(config), keys: apiKeys(config), allowedHosts: allowedHosts(config) };
}

interface Tools {
  readonly staff: Staff;
  readonly lender: TallyLender;
  readonly start: (number: number) => Thread;
}

function createWorkforce({ workers: count }: Config, { staff, lender, start }: Tools): Workforce {
  const { control, logger } = staff;
  const { fleet, pool } = control;
  const crew = new Crew({
    clock,
    fleet,
    pool,
    lender,
    count,
    logger,
    start,
    writeLog: (lines) => addLines(logger, lines),
  });
  const sweeping = startLoop({
    clock,
    everyMs: SWEEP_MS,
    run: async () => fleet.others.sweep(),
    onError: (error) => logger.error({ err: error }, "looking at what workers gave out failed"),
  });
  return {
    start: () => crew.start(),
    scrape: async ({ registry }) => addedUp(registry, await crew.samples()),
    drain: () => crew.drain(),
    cut: () => crew.cut(),
    close: (graceMs) => runAll([() => crew.close(graceMs), () => sweeping.stop()]),
  };
}
