// The HTTP server: keys, disguises, routes, vLLM's errors and uvicorn's access log around every answer.
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from "node:http";
import type { Core } from "./core.ts";
import { type Exchange, send, sendJson } from "./http.ts";
import { type Routes, routesOf } from "./routes.ts";
import { engineFailure, errorBody, WireError } from "./wire.ts";

/** A server that is not listening yet. */
export function createSimServer(core: Core): Server {
  const routes = routesOf(core);
  const server = createServer((request, response) => {
    const exchange = exchangeOf(request, response, core, routes);
    logAccess(exchange, core);
    answer(exchange, routes, core).catch((error: unknown) => refuse(exchange, error, core));
  });
  // Idle connections go exactly then; Node would add a second of its own.
  server.keepAliveTimeout = core.options.keepAliveSeconds * 1000;
  server.keepAliveTimeoutBuffer = 0;
  // uvicorn waits for ever for a request to arrive, and has no limit on its age.
  server.requestTimeout = 0;
  server.headersTimeout = 0;
  return server;
}

function exchangeOf(request: IncomingMessage, response: ServerResponse, core: Core, routes: Routes): Exchange {
  const sent = request.headers["x-request-id"];
  const requestId = typeof sent === "string" && sent !== "" ? sent : core.random.id();
  response.setHeader("server", "uvicorn");
  // Without this Node announces its keep-alive time, which uvicorn never does and clients would act upon.
  response.removeHeader("connection");
  if (core.options.requestIdHeaders) response.setHeader("x-request-id", requestId);
  const url = URL.parse(request.url ?? "/", "http://sim") ?? new URL("http://sim/");
  const kind = routes.get(`${request.method} ${url.pathname}`)?.kind ?? "other";
  return { request, response, url, requestId, faults: core.faults.next(kind) };
}

async function answer(exchange: Exchange, routes: Routes, core: Core): Promise<void> {
  const { request, response, url } = exchange;
  if (!isAuthorized(exchange, core.options.apiKeys)) return sendJson(response, 401, { error: "Unauthorized" });
  if (exchange.faults.disguise !== undefined) return disguise(exchange, exchange.faults.disguise);
  const route = routes.get(`${request.method} ${url.pathname}`);
  if (route?.kind === "inference" && core.sleepMode.isAway)
    core.log.warn(`${url.pathname} was asked for in its sleep; it waits until the engine is awake.`);
  if (route !== undefined) return route.handler(exchange, core);
  const known = [...routes.keys()].some((key) => key.endsWith(` ${url.pathname}`));
  throw statusError(known ? 405 : 404);
}

/** Only these prefixes are behind the key: the rest of vLLM's surface is open. */
function isAuthorized({ request, url }: Exchange, apiKeys: readonly string[]): boolean {
  const guarded = /^\/(v1|v2|inference|cohere)(\/|$)/.test(url.pathname);
  if (!guarded || apiKeys.length === 0 || request.method === "OPTIONS") return true;
  const [scheme, key] = (request.headers.authorization ?? "").split(" ");
  return scheme?.toLowerCase() === "bearer" && key !== undefined && apiKeys.includes(key);
}

const PAGE = "<!doctype html><title>Simulated</title><h1>This is not an engine</h1>\n";

/** A fault that replaces the whole answer. */
function disguise({ request, response }: Exchange, kind: "html" | "redirect"): void {
  // Whatever the client posts is read and thrown away.
  request.resume();
  if (kind === "html") return send(response, 200, "text/html; charset=utf-8", PAGE);
  response.writeHead(302, { location: "/elsewhere", "content-length": 0 }).end();
}

function refuse({ request, response }: Exchange, error: unknown, core: Core): void {
  // The client left while it was sending: nobody is there to be told.
  if (response.destroyed || request.errored !== null) return;
  if (!(error instanceof WireError)) core.log.error("APIServer", `Internal server error: ${String(error)}`);
  if (response.headersSent) return void response.destroy();
  const refusal = error instanceof WireError ? error : engineFailure("Internal server error");
  sendJson(response, refusal.status, errorBody(refusal));
}

function statusError(status: number): WireError {
  const phrase = STATUS_CODES[status] ?? "Error";
  return new WireError(status, phrase, phrase);
}

function logAccess({ request, response, url }: Exchange, core: Core): void {
  if (!core.options.accessLog) return;
  const { remoteAddress, remotePort } = request.socket;
  response.once("close", () => {
    if (!response.headersSent) return;
    const status = `${response.statusCode} ${STATUS_CODES[response.statusCode] ?? ""}`.trim();
    core.log.access(
      `${remoteAddress}:${remotePort} - "${request.method} ${url.pathname}${url.search} HTTP/${request.httpVersion}" ${status}`,
    );
  });
}
