// The HTTP surface: what is checked before anything else, which routes there are, and how the rest is refused.
import type { HttpBindings } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { Hono, type Context } from "hono";
import { AimError, isAimError } from "../errors.ts";
import type { Random } from "../lib/random.ts";
import type { GatewayDeps } from "./deps.ts";
import type { Downstream } from "./downstream/downstream.ts";
import { NodeDownstream } from "./downstream/node-downstream.ts";
import { internalError, renderError, shuttingDown } from "./error-response.ts";
import { checkHost } from "./hosts.ts";
import { createInference } from "./inference.ts";
import { type Client, createKeyCheck, type KeyCheck } from "./keys.ts";
import { createModelRoutes } from "./models.ts";
import { Reply } from "./reply.ts";
import type { ServedApp } from "./server.ts";

/** What is forwarded to replicas, under the same path. */
export const INFERENCE_ROUTES = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"] as const;

/** The same by the target of the request line as clients write it. */
const DIRECT: ReadonlySet<string> = new Set(INFERENCE_ROUTES);

/** Open to all: they say nothing but "alive" and "ready". */
const OPEN_PATHS = ["/health/live", "/health/ready"];

interface Env {
  Bindings: HttpBindings;
  /** Whose request it is, where keys say so. */
  Variables: { client: Client | undefined };
}

/** The whole gateway as an app for `listen`: requests for models on a way of their own, since each of them pays for what lies on it. */
export function createApp(deps: GatewayDeps): ServedApp {
  const checkKey = createKeyCheck(deps.keys);
  const infer = createInference(deps);
  const serve = (downstream: Downstream, caller: Caller) => {
    if (deps.draining.aborted) throw shuttingDown();
    return infer({ downstream, ...caller });
  };
  const app = createRouter(deps, { checkKey, serve });
  const serveDirectly = (route: string, downstream: Downstream) => {
    const requestId = requestIdOf(downstream.header("x-request-id"), deps.random);
    try {
      checkHost(downstream.rawHeaders, deps.allowedHosts);
      void serve(downstream, { route, requestId, client: checkKey(downstream.rawHeaders) });
    } catch (thrown) {
      const reply = new Reply(downstream);
      reply.header("x-request-id", requestId);
      reply.fail(recorded(thrown, { requestId, method: "POST", path: route }, deps));
    }
  };
  return { fetch: (request, env) => app.fetch(request, env), direct: { targets: DIRECT, serve: serveDirectly } };
}

interface Caller {
  readonly route: string;
  readonly requestId: string;
  readonly client: Client | undefined;
}

interface Parts {
  readonly checkKey: KeyCheck;
  readonly serve: (downstream: Downstream, caller: Caller) => Promise<void>;
}

/** Everything else, and the same routes where they are spelled in other ways. */
function createRouter(deps: GatewayDeps, { checkKey, serve }: Parts): Hono<Env> {
  const app = new Hono<Env>();
  app.use(async (c, next) => {
    const { incoming, outgoing } = c.env;
    outgoing.setHeader("x-request-id", requestIdOf(incoming.headers["x-request-id"], deps.random));
    checkHost(incoming.rawHeaders, deps.allowedHosts);
    if (!isOpen(c)) c.set("client", checkKey(incoming.rawHeaders));
    await next();
  });
  app.use("/api/*", checkRights);
  for (const route of INFERENCE_ROUTES) {
    app.post(route, async (c) => {
      const { incoming, outgoing } = c.env;
      const requestId = String(outgoing.getHeader("x-request-id"));
      const downstream = new NodeDownstream(incoming, outgoing, deps.clock);
      await serve(downstream, { route, requestId, client: c.get("client") });
      return RESPONSE_ALREADY_SENT;
    });
    app.all(route, refuseMethod("POST"));
  }
  app.route("/", createModelRoutes(deps)).all("/v1/models/*", refuseMethod("GET"));
  if (deps.admin !== undefined) app.route("/", deps.admin);
  app.notFound((c) => {
    throw new AimError("unknown_url", `there is nothing at ${c.req.method} ${c.req.path}`);
  });
  app.onError((error, c) => answerError(error, c, deps));
  return app;
}

/** Who may not start models may look at what runs: a launch would be a way around that, and a stop is worse than a start. */
async function checkRights(c: Context<Env>, next: () => Promise<void>): Promise<void> {
  const reads = c.req.method === "GET" || c.req.method === "HEAD";
  const client = c.get("client");
  if (!reads && client?.mayStart === false)
    throw new AimError("not_permitted", `the API key "${client.name}" may not start models, nor change what runs`);
  await next();
}

function refuseMethod(allow: string): (c: Context) => never {
  return (c) => {
    throw new AimError("method_not_supported", `${c.req.path} takes ${allow} only, not ${c.req.method}`, {
      data: { allow },
    });
  };
}

/** The client's own id where it is harmless in headers and logs, else a new one. */
function requestIdOf(header: string | string[] | undefined, random: Random): string {
  return typeof header === "string" && /^[\x21-\x7e]{1,128}$/.test(header) ? header : random.id();
}

function isOpen(c: Context<Env>): boolean {
  return c.req.method === "GET" && OPEN_PATHS.includes(c.req.path);
}

/** Everything that was thrown in the router ends here. */
function answerError(thrown: Error, c: Context<Env>, deps: GatewayDeps): Response {
  const requestId = String(c.env.outgoing.getHeader("x-request-id"));
  const error = recorded(thrown, { requestId, method: c.req.method, path: c.req.path }, deps);
  const { status, headers, body } = renderError(error);
  return new Response(body, { status, headers });
}

/** What to tell the client of a failure outside the main line; it is counted and logged. */
function recorded(thrown: unknown, request: object, { logger, metrics }: GatewayDeps): AimError {
  const error = isAimError(thrown) ? thrown : internalError(thrown);
  metrics.rejections.inc({ reason: error.code });
  const fields = { ...request, code: error.code };
  if (error.code === "internal_error") logger.error({ ...fields, err: error.cause }, "request failed");
  else logger.debug(fields, "request refused");
  return error;
}
