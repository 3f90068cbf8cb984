// The life of one simulated engine: load, listen, serve, and end as it is told to.
import type { Server } from "node:http";
import { sleep } from "../lib/clock.ts";
import { messageOf } from "../errors.ts";
import { scheduleChildOom } from "./child-oom.ts";
import { type Core, createCore, type World } from "./core.ts";
import type { ServeOptions } from "./flags.ts";
import { load } from "./load.ts";
import { startLogFlood } from "./log-flood.ts";
import { createSimServer } from "./server.ts";

/** A server that answers. */
export interface RunningSim {
  readonly address: URL;
  /** Ends every request and connection. Idempotent. */
  stop(): Promise<void>;
}

/** Listens at once, without the load: for tests that need an engine in their own process. */
export async function startSim(options: ServeOptions, world: World): Promise<RunningSim> {
  const core = createCore(options, world);
  const server = createSimServer(core);
  await listen(server, options);
  const childOom = scheduleChildOom(core);
  return {
    address: addressOf(server, options),
    stop() {
      childOom.cancel();
      return close(server, core);
    },
  };
}

/** Resolves with the exit code once it crashed, or was stopped by the signal. */
export async function serve(options: ServeOptions, world: World, stop: AbortSignal): Promise<number> {
  const { log, clock } = world;
  const flood = startLogFlood(options.knobs.logFlood, world);
  try {
    const failure = await load(options, log, clock, stop);
    if (failure !== undefined) return failure.exitCode;
    return await serveUntilTheEnd(options, world, stop);
  } catch (error) {
    // Stopped while it was loading: what a process without a handler would end with.
    if (stop.aborted) return stop.reason instanceof Interruption ? stop.reason.exitCode : 143;
    log.error("APIServer", messageOf(error));
    return 1;
  } finally {
    flood.cancel();
  }
}

/** Why an engine is stopped: the signal it got. */
export class Interruption extends Error {
  readonly exitCode: number;

  constructor(signal: "SIGTERM" | "SIGINT") {
    super(`received ${signal}`);
    this.exitCode = signal === "SIGTERM" ? 143 : 130;
  }
}

async function serveUntilTheEnd(options: ServeOptions, world: World, stop: AbortSignal): Promise<number> {
  const { log, clock } = world;
  const sim = await startSim(options, world);
  const answersSince = clock.wallNow();
  log.uvicorn(`Started server process [${process.pid}]`);
  log.uvicorn("Waiting for application startup.");
  log.uvicorn("Application startup complete.");
  log.info("APIServer", `It answers since ${new Date(answersSince).toISOString()}.`);
  const boundTo = `${options.host ?? "0.0.0.0"}:${sim.address.port}`;
  log.uvicorn(`Uvicorn running on http://${boundTo} (Press CTRL+C to quit)`);
  try {
    await sleep(clock, (options.knobs.crashAfterReady ?? Infinity) * 1000, stop);
    log.error("EngineCore", "EngineCore encountered a fatal error: the simulated engine was told to crash");
    return options.knobs.exitCode;
  } catch (error) {
    if (!stop.aborted) throw error;
    log.uvicorn("Shutting down");
    return 0;
  } finally {
    await sim.stop();
    if (stop.aborted) log.uvicorn("Application shutdown complete.");
  }
}

/** Where a client on this machine reaches it. */
function addressOf(server: Server, { host = "0.0.0.0" }: ServeOptions): URL {
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("the server is not bound to a port");
  const name = host === "0.0.0.0" ? "127.0.0.1" : host;
  return new URL(`http://${name.includes(":") ? `[${name}]` : name}:${bound.port}`);
}

function listen(server: Server, { host, port }: ServeOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, ...(host === undefined ? {} : { host }) }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

async function close(server: Server, core: Core): Promise<void> {
  if (!server.listening) return;
  core.engine.pause();
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
  // Some turns later the generations learn that their clients are cut off, and say so in the log.
  while (core.engine.running + core.engine.waiting > 0) await new Promise((resolve) => setImmediate(resolve));
}
