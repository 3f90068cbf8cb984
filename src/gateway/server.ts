// The listening socket: limits that hold before any of our code runs, and an orderly end.
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { Duplex } from "node:stream";
import { getRequestListener, type Http2Bindings, type HttpBindings } from "@hono/node-server";
import { AimError } from "../errors.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import type { Logger } from "../telemetry/logger.ts";
import { type DirectWay, Door } from "./downstream/door.ts";
import { NodeDownstream } from "./downstream/node-downstream.ts";

export interface ListenOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** A Unix socket to listen on instead. */
  readonly path?: string;
  /** Whether other threads of ours listen there, too, and the system shares the connections out. */
  readonly reusePort?: boolean;
  readonly logger: Logger;
  readonly clock?: Clock;
}

/** A port that an app answers on. */
export type RunningServer = Omit<BoundPort, "serve">;

/** Anything with Hono's fetch. */
export interface ServedApp {
  fetch(request: Request, env: Bindings): Response | Promise<Response>;
  /** What of POST it answers by itself; everything else goes to `fetch`. */
  readonly direct?: DirectWay;
}

type Bindings = HttpBindings | Http2Bindings;

const LIMITS = {
  // OpenAI's own; Node's 16 KiB are too few for some clients' cookies and tokens.
  maxHeaderSize: 64 * 1024,
  headersTimeout: 30_000,
  // For the whole request, so that a body that trickles in holds its connection for so long only.
  requestTimeout: 300_000,
  // Longer than load balancers keep their idle connections, so that it is they who close them.
  keepAliveTimeout: 75_000,
};

const PLAIN_LIMITS = {
  headMs: LIMITS.headersTimeout,
  requestMs: LIMITS.requestTimeout,
  idleMs: LIMITS.keepAliveTimeout,
};

/** A port that is ours, before it is decided who answers on it. */
export interface BoundPort {
  readonly url: URL;
  /** Call it in the tick in which the port was bound, so that no request comes before. */
  serve(app: ServedApp): void;
  /** Takes no more connections, lets requests under way finish for `graceMs`, then cuts them. Idempotent. */
  close(graceMs: number): Promise<void>;
}

/** Resolves when connections are accepted; rejects with `invalid_config` where they cannot be. */
export async function listen(app: ServedApp, options: ListenOptions): Promise<RunningServer> {
  const port = await bindPort(options);
  port.serve(app);
  return port;
}

/** Takes the port alone; rejects with `invalid_config` where it cannot be had. */
export async function bindPort(options: ListenOptions): Promise<BoundPort> {
  const clock = options.clock ?? systemClock;
  let closing: Promise<void> | undefined;
  let door: Door | undefined;
  // A connection is idle only after its answer, which Node does not look at again once the server is closing.
  const closeIfIdle = () => {
    if (closing !== undefined) setImmediate(() => server.closeIdleConnections());
  };
  const server = createServer(LIMITS);
  // Headers are bounded by their size; Node would drop those beyond a count without a word.
  server.maxHeadersCount = 0;
  server.on("connect", refuseTunnel);
  await bind(server, options);
  server.on("error", (error) => options.logger.error({ err: error }, "a connection could not be accepted"));
  return {
    url: urlOf(server, options.host),
    serve(app) {
      const answer = getRequestListener(calm(app, options.logger), { overrideGlobalObjects: false });
      if (app.direct !== undefined) door = new Door(server, app.direct, { clock, limits: PLAIN_LIMITS });
      server.on("request", (incoming, outgoing) => {
        outgoing.once("close", closeIfIdle);
        const { method, url: target = "" } = incoming;
        if (method === "POST" && app.direct?.targets.has(target))
          return app.direct.serve(target, new NodeDownstream(incoming, outgoing, clock));
        answer(incoming, outgoing).catch((error: unknown) => {
          options.logger.error({ err: error }, "request failed outside the app");
          outgoing.destroy();
        });
      });
    },
    close: (graceMs) => (closing ??= closeServer({ server, door, clock }, graceMs)),
  };
}

function bind(server: Server, { host, port, path, reusePort = false }: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(cannotListen(error, path ?? `${host}:${port}`)));
    const where = path === undefined ? { host, port, reusePort } : { path };
    server.listen({ ...where, backlog: 4096 }, () => {
      server.removeAllListeners("error");
      resolve();
    });
  });
}

function cannotListen(cause: NodeJS.ErrnoException, where: string): AimError {
  const remedy: Readonly<Record<string, string>> = {
    EADDRINUSE: "another program listens there already; stop it or choose another port",
    EACCES: "not permitted; choose a port above 1023",
    EADDRNOTAVAIL: "this machine has no such address",
    ENOTSUP: "this system does not share a port out between workers; set workers to 1",
    ENOTFOUND: "there is no host of that name",
  };
  const why = remedy[cause.code ?? ""] ?? cause.message;
  return new AimError("invalid_config", `cannot listen on ${where}: ${why}`, { cause });
}

/** Where to reach it from this machine. */
function urlOf(server: Server, host: string): URL {
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const name = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return new URL(`http://${name.includes(":") ? `[${name}]` : name}:${port}`);
}

interface Closing {
  readonly server: Server;
  readonly door: Door | undefined;
  readonly clock: Clock;
}

async function closeServer({ server, door, clock }: Closing, graceMs: number): Promise<void> {
  const limit = clock.setTimer(graceMs, () => {
    server.closeAllConnections();
    door?.cutAll();
  });
  door?.close();
  await new Promise((resolve) => server.close(resolve));
  limit.cancel();
}

/** CONNECT asks for a tunnel through us. (An Upgrade is ignored instead, as HTTP allows: the request is answered as it is.) */
function refuseTunnel(_: IncomingMessage, socket: Duplex): void {
  socket.on("error", () => socket.destroy());
  socket.end("HTTP/1.1 405 Method Not Allowed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
}

/**
 * Sees to it that no answer's body ever fails, since the adapter would print that on the console and try to add a text to
 * the answer. A body that fails is logged here, and its connection cut so that it cannot look complete.
 */
function calm(app: ServedApp, logger: Logger): (request: Request, env: Bindings) => Promise<Response> {
  return async (request, env) => {
    const response = await app.fetch(request, env);
    if (response.body === null) return response;
    const body = guarded(response.body, (error) => {
      logger.warn({ err: error }, "answer broke off");
      env.outgoing.destroy();
    });
    return new Response(body, response);
  };
}

function guarded(source: ReadableStream<Uint8Array>, onError: (error: unknown) => void): ReadableStream<Uint8Array> {
  const reader = source.getReader();
  let left = false;
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        // The client is gone, and what it left behind ends: that is no failure.
        if (left) return;
        if (done) controller.close();
        else controller.enqueue(value);
      } catch (error) {
        onError(error);
      }
    },
    cancel(reason) {
      left = true;
      return reader.cancel(reason);
    },
  });
}
