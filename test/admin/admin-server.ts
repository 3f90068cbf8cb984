// The admin routes behind a real socket, with the smallest error renderer.
import { createAdaptorServer } from "@hono/node-server";
import { Hono } from "hono";
import { createAdminRoutes } from "../../src/admin/routes.ts";
import { AimError, isAimError } from "../../src/errors.ts";
import { systemClock, type Clock } from "../../src/lib/clock.ts";
import { EventLog } from "../../src/telemetry/events.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import type { ScriptedView } from "./scripted-view.ts";

export type AdminServer = Awaited<ReturnType<typeof startAdminServer>>;

export interface AdminServerOptions {
  readonly clock?: Clock;
  readonly apiKey?: string;
  /** Any free one unless given. */
  readonly port?: number;
  beforeMetrics?(): void;
}

export async function startAdminServer(view: ScriptedView, options: AdminServerOptions = {}) {
  const { apiKey, port = 0, ...deps } = options;
  const events = new EventLog(options.clock ?? systemClock);
  const metrics = createMetrics();
  const stopping = new AbortController();
  /** What reached the renderer, in order. */
  const errors: unknown[] = [];
  const app = new Hono();
  app.use(async (c, next) => {
    if (apiKey !== undefined && c.req.header("authorization") !== `Bearer ${apiKey}`)
      throw new AimError("invalid_api_key", "that is no valid API key");
    await next();
  });
  const common = { view, events, metrics, version: "1.2.3", logger: silentLogger };
  app.route("/", createAdminRoutes({ ...common, ...deps, stopping: stopping.signal }));
  app.onError((error) => {
    errors.push(error);
    const known = isAimError(error) ? error : new AimError("internal_error", "internal error");
    const body = { message: known.message, type: known.type, param: known.param ?? null, code: known.code };
    return Response.json({ error: body }, { status: known.status });
  });
  const server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    events,
    metrics,
    errors,
    stopStreams: () => stopping.abort(),
    async close() {
      if ("closeAllConnections" in server) server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
