// The composition root of a worker: a thread with a data plane of its own, which shares the port with the others.
import { parentPort, workerData } from "node:worker_threads";
import { Catalog } from "./catalog/catalog.ts";
import type { Recipe } from "./catalog/recipe.ts";
import { modelResolver } from "./compose-views.ts";
import { createApp } from "./gateway/app.ts";
import type { GatewaySettings } from "./gateway/deps.ts";
import type { ApiKey } from "./gateway/keys.ts";
import { bindPort, type BoundPort } from "./gateway/server.ts";
import { clockSince } from "./lib/clock.ts";
import { systemRandom } from "./lib/random.ts";
import { samplesOf, type Samples } from "./telemetry/gathering.ts";
import { createThreadLogger, type LoggerOptions } from "./telemetry/logger.ts";
import { createMetrics, type Metrics } from "./telemetry/metrics.ts";
import { Borrowing } from "./workers/borrowing.ts";
import { type Order, type Report, sentError } from "./workers/messages.ts";
import { passOn } from "./workers/passing-on.ts";
import { Tally, type TallyMemory } from "./workers/tally.ts";
import { WorkerPool } from "./workers/worker-pool.ts";

/** What a worker is given when it starts. */
export interface WorkerStart {
  /** Its number in the tally. */
  readonly number: number;
  readonly memory: TallyMemory;
  /** See `clockSince`. */
  readonly clockStart: number;
  readonly listen: { readonly host: string; readonly port: number };
  /** Where the main thread serves what a worker does not. */
  readonly socketPath: string;
  readonly log: Pick<LoggerOptions, "level" | "pretty">;
  readonly recipes: readonly Recipe[];
  readonly settings: GatewaySettings;
  readonly keys: readonly ApiKey[];
  readonly allowedHosts: readonly string[] | undefined;
}

async function work(start: WorkerStart, line: Line): Promise<void> {
  const clock = clockSince(start.clockStart);
  const metrics = createMetrics();
  const logger = createThreadLogger(start.log, { write: (lines) => line.tell({ kind: "log", lines }) });
  const catalog = new Catalog(start.recipes);
  const { memory, number: thread, settings, keys, allowedHosts } = start;
  const borrowing = new Borrowing({ clock, tally: new Tally(memory), thread, tell: line.tell });
  const pool = new WorkerPool(borrowing, line.tell);
  const draining = new AbortController();
  const cutting = new AbortController();
  const app = createApp({
    pool,
    // Whatever asks for it is passed on, as all is but requests for models.
    directory: { list: () => [], find: () => undefined },
    resolve: modelResolver(catalog, settings),
    nearest: (name) => catalog.nearest(name),
    keys,
    allowedHosts,
    settings,
    clock,
    random: systemRandom,
    metrics,
    logger,
    draining: draining.signal,
    cutting: cutting.signal,
  });
  const port = await bindPort({ ...start.listen, reusePort: true, logger, clock });
  port.serve({ ...app, fetch: passOn(start.socketPath, logger) });
  line.hear(obedience({ borrowing, pool, port, metrics, draining, cutting, tell: line.tell }));
  line.tell({ kind: "listening" });
}

interface Parts {
  readonly borrowing: Borrowing;
  readonly pool: WorkerPool;
  readonly port: BoundPort;
  readonly metrics: Metrics;
  readonly draining: AbortController;
  readonly cutting: AbortController;
  readonly tell: (report: Report) => void;
}

function obedience(parts: Parts): (order: Order) => void {
  const { borrowing, pool, port, draining, cutting, tell } = parts;
  return (order) => {
    switch (order.kind) {
      case "lent":
        return borrowing.lent(order.replica);
      case "taken back":
        return borrowing.takenBack(order);
      case "cache":
        return borrowing.cacheHolds(order, order.tokens);
      case "granted":
        return pool.granted(order.id, order.grant);
      case "refused":
        return pool.refused(order.id, order.error);
      case "outlook":
        return pool.tellOutlook(order.model, order.outlook);
      case "gather":
        return void gather(parts).then((samples) => tell({ kind: "samples", id: order.id, samples }));
      case "drain":
        return draining.abort(new Error("the gateway is shutting down"));
      case "cut":
        return cutting.abort();
      case "close":
        return void port.close(order.graceMs).then(() => tell({ kind: "closed" }));
    }
  };
}

function gather({ borrowing, metrics }: Parts): Promise<Samples> {
  const { registry, routedTokens, routedCachedTokens } = metrics;
  for (const counter of [routedTokens, routedCachedTokens]) counter.reset();
  for (const { model, tokens, cachedTokens } of borrowing.routed()) {
    routedTokens.inc({ model }, tokens);
    routedCachedTokens.inc({ model }, cachedTokens);
  }
  return samplesOf(registry);
}

/** To the main thread and back. */
interface Line {
  readonly tell: (report: Report) => void;
  readonly hear: (obey: (order: Order) => void) => void;
}

// Nobody but the main thread starts this, and in a thread; elsewhere it has nothing to do.
const main = parentPort;
if (main !== null) {
  const tell = (report: Report) => main.postMessage(report, []);
  const hear = (obey: (order: Order) => void) => main.on("message", obey);
  // What it is started with is a WorkerStart: see `startThread`.
  const start: WorkerStart = workerData;
  work(start, { tell, hear }).catch((error: unknown) => tell({ kind: "cannot serve", error: sentError(error) }));
}
