// The admin API: what operators, the CLI, the dashboard and Prometheus ask. Full paths; keys are checked by the app it is mounted in.
import { Hono, type Context } from "hono";
import { systemClock } from "../lib/clock.ts";
import { signalOf, streamed } from "./connection.ts";
import type { AdminDeps } from "./deps.ts";
import { eventStream, missedEvents, type EventFilter } from "./event-stream.ts";
import { guard } from "./guard.ts";
import { operationRoutes } from "./operation-routes.ts";
import { readCount } from "./query.ts";
import { replicaRoutes } from "./replica-routes.ts";
import type { ControlView } from "./view.ts";

/** Every route of /api, /health and /metrics. Errors are thrown as `AimError`, for the app's `onError` to render. */
export function createAdminRoutes(deps: AdminDeps): Hono {
  const app = new Hono();
  app.use("/api/*", guard);
  addFacts(app, deps);
  app.route("/", replicaRoutes(deps));
  app.route("/", operationRoutes(deps));
  addEvents(app, deps);
  addHealth(app, deps);
  return app;
}

function addFacts(app: Hono, { view, version }: AdminDeps): void {
  app.get("/api/models", (c) => c.json({ models: view.models() }));
  app.get("/api/recipes", (c) => c.json(view.recipes()));
  app.get("/api/gpus", (c) => c.json({ gpus: view.gpus() }));
  app.get("/api/runtimes", (c) => c.json({ runtimes: view.runtimes() }));
  app.get("/api/version", (c) => c.json({ version }));
}

function addEvents(app: Hono, { view, events, logger, clock = systemClock, stopping }: AdminDeps): void {
  app.get("/api/events", (c) => {
    const seen = readCount(c, "since", { absent: Number(c.req.header("last-event-id")) || 0 });
    const filter = readFilter(c, view);
    if (c.req.header("accept")?.includes("application/json")) {
      return c.json({ events: missedEvents({ events, since: seen, filter }) });
    }
    const onDropped = () => logger.warn("a follower of the events read too slowly and was dropped");
    const body = eventStream({ events, since: seen, filter, clock, signal: signalOf(c, stopping), onDropped });
    return streamed(c, body, "text/event-stream; charset=utf-8");
  });
}

/** `?type=decision:stop`, `?model=…` (or an alias), `?replica=…`, all of them optional; an empty one is none. */
function readFilter(c: Context, view: ControlView): EventFilter {
  const { type, model: name, replica } = c.req.query();
  const known = name === undefined ? undefined : view.models().find(({ aliases }) => aliases.includes(name));
  const model = known?.model ?? name;
  return { ...(type && { type }), ...(model && { model }), ...(replica && { replica }) };
}

function addHealth(app: Hono, { view, metrics, ...deps }: AdminDeps): void {
  app.get("/health/live", (c) => c.json({ status: "live" }));
  app.get("/health/ready", (c) => {
    const problems = view.problems();
    return problems.length === 0 ? c.json({ status: "ready" }) : c.json({ status: "not ready", problems }, 503);
  });
  app.get("/metrics", async (c) => {
    deps.beforeMetrics?.();
    const text = await (deps.scrape?.() ?? metrics.registry.metrics());
    return c.body(text, 200, { "Content-Type": metrics.registry.contentType });
  });
}
