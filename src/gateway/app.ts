// The HTTP surface: what is checked before anything else, which routes there are, and how the rest is refused.
import type { HttpBindings } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import { Hono, type Context } from "hono";
import { AimError, isAimError } from "../errors.ts";
import type { GatewayDeps } from "./deps.ts";
import { internalError, renderError, shuttingDown } from "./error-response.ts";
import { checkHost } from "./hosts.ts";
import { createInference } from "./inference.ts";
import { type Client, createKeyCheck } from "./keys.ts";
import { createModelRoutes } from "./models.ts";

/** What is forwarded to replicas, under the same path. */
export const INFERENCE_ROUTES = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"] as const;

/** Open to all: they say nothing but "alive" and "ready". */
const OPEN_PATHS = ["/health/live", "/health/ready"];

interface Env {
  Bindings: HttpBindings;
  /** Whose request it is, where keys say so. */
  Variables: { client: Client | undefined };
}

/** The whole gateway as an app for `listen`. */
export function createApp(deps: GatewayDeps): Hono<Env> {
  const app = new Hono<Env>();
  const checkKey = createKeyCheck(deps.keys);
  app.use(async (c, next) => {
    const { incoming, outgoing } = c.env;
    outgoing.setHeader("x-request-id", requestIdOf(incoming.headers["x-request-id"]) ?? deps.random.id());
    checkHost(incoming.rawHeaders, deps.allowedHosts);
    if (!isOpen(c)) c.set("client", checkKey(incoming.rawHeaders));
    await next();
  });
  app.use("/api/*", checkRights);
  addInference(app, deps);
  app.route("/", createModelRoutes(deps)).all("/v1/models/*", refuseMethod("GET"));
  app.route("/", deps.admin);
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

function addInference(app: Hono<Env>, deps: GatewayDeps): void {
  const infer = createInference(deps);
  for (const route of INFERENCE_ROUTES) {
    app.post(route, async (c) => {
      if (deps.draining.aborted) throw shuttingDown();
      const { incoming, outgoing } = c.env;
      const requestId = String(outgoing.getHeader("x-request-id"));
      await infer({ incoming, outgoing, route, requestId, client: c.get("client") });
      return RESPONSE_ALREADY_SENT;
    });
    app.all(route, refuseMethod("POST"));
  }
}

function refuseMethod(allow: string): (c: Context) => never {
  return (c) => {
    throw new AimError("method_not_supported", `${c.req.path} takes ${allow} only, not ${c.req.method}`, {
      data: { allow },
    });
  };
}

/** The client's own id where it is harmless in headers and logs. */
function requestIdOf(header: string | string[] | undefined): string | undefined {
  return typeof header === "string" && /^[\x21-\x7e]{1,128}$/.test(header) ? header : undefined;
}

function isOpen(c: Context<Env>): boolean {
  return c.req.method === "GET" && OPEN_PATHS.includes(c.req.path);
}

/** Everything that was thrown outside the main line ends here. */
function answerError(thrown: Error, c: Context<Env>, { logger, metrics }: GatewayDeps): Response {
  const error = isAimError(thrown) ? thrown : internalError(thrown);
  const requestId = c.env.outgoing.getHeader("x-request-id");
  metrics.rejections.inc({ reason: error.code });
  const fields = { requestId, method: c.req.method, path: c.req.path, code: error.code };
  if (error.code === "internal_error") logger.error({ ...fields, err: error.cause }, "request failed");
  else logger.debug(fields, "request refused");
  const { status, headers, body } = renderError(error);
  return new Response(body, { status, headers });
}
