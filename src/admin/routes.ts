// The admin API: what operators, the CLI, the dashboard and Prometheus ask. Full paths; keys are checked by the app it is mounted in.
import { Hono, type Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import { AimError } from "../errors.ts";
import { systemClock, type Clock } from "../lib/clock.ts";
import type { EventLog } from "../telemetry/events.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import { eventStream, missedEvents } from "./event-stream.ts";
import { readLaunchRequest } from "./launch-body.ts";
import { logStream, NDJSON, PLAIN_TEXT } from "./log-stream.ts";
import { readCount, readFlag } from "./query.ts";
import type { ControlView } from "./view.ts";

export interface AdminDeps {
  readonly view: ControlView;
  readonly events: EventLog;
  readonly metrics: Metrics;
  /** Brings gauges up to date before they are read. */
  beforeMetrics?(): void;
  readonly version: string;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** Ends open streams, which have no end of their own and would hold up a shutdown. */
  readonly stopping?: AbortSignal;
}

const MAX_BODY_BYTES = 64 * 1024;
const MAX_TAIL = 100_000;

/** Every route of /api, /health and /metrics. Errors are thrown as `AimError`, for the app's `onError` to render. */
export function createAdminRoutes(deps: AdminDeps): Hono {
  const app = new Hono();
  app.use("/api/*", guard);
  addFacts(app, deps);
  addReplicas(app, deps);
  addStreams(app, deps);
  addHealth(app, deps);
  return app;
}

/** No answer is cached, and no other web page changes anything: browsers say where a request comes from. */
async function guard(c: Context, next: () => Promise<void>): Promise<void> {
  const site = c.req.header("sec-fetch-site");
  const reads = c.req.method === "GET" || c.req.method === "HEAD";
  if (!reads && (site === "cross-site" || site === "same-site")) {
    throw new AimError("forbidden_host", "requests that change something are refused from other web pages");
  }
  await next();
  c.header("Cache-Control", "no-store");
}

function addFacts(app: Hono, { view, version }: AdminDeps): void {
  app.get("/api/models", (c) => c.json({ models: view.models() }));
  app.get("/api/recipes", (c) => c.json(view.recipes()));
  app.get("/api/gpus", (c) => c.json({ gpus: view.gpus() }));
  app.get("/api/runtimes", (c) => c.json({ runtimes: view.runtimes() }));
  app.get("/api/version", (c) => c.json({ version }));
}

function addReplicas(app: Hono, { view }: AdminDeps): void {
  const tooLarge = () => {
    throw new AimError("request_too_large", `a launch takes at most ${MAX_BODY_BYTES} bytes`);
  };
  app.get("/api/replicas", (c) => c.json({ replicas: view.replicas() }));
  app.get("/api/replicas/:name", (c) => {
    const name = c.req.param("name");
    const replica = view.replicas().find((candidate) => candidate.name === name);
    if (replica === undefined) {
      throw new AimError("replica_not_found", `there is no replica ${name}; GET /api/replicas lists them`);
    }
    return c.json(replica);
  });
  app.post("/api/replicas", bodyLimit({ maxSize: MAX_BODY_BYTES, onError: tooLarge }), async (c) => {
    const request = await readLaunchRequest(c);
    const result = await whileConnected(c, view.launch(request, c.req.raw.signal));
    return c.json(result, result.created ? 201 : 200);
  });
  // A model id contains "/", which clients send raw or as %2F.
  app.delete("/api/replicas/:name{.+}", async (c) => {
    const options = { force: readFlag(c, "force") };
    const stopped = view.stop(c.req.param("name"), options, c.req.raw.signal);
    return c.json({ replicas: await whileConnected(c, stopped) });
  });
}

function addStreams(app: Hono, { view, events, logger, clock = systemClock, stopping }: AdminDeps): void {
  const signalOf = (c: Context) =>
    stopping === undefined ? c.req.raw.signal : AbortSignal.any([c.req.raw.signal, stopping]);

  app.get("/api/replicas/:name/logs", async (c) => {
    const name = c.req.param("name");
    const options = {
      follow: readFlag(c, "follow"),
      tail: readCount(c, "tail", { max: MAX_TAIL, absent: 100 }),
    };
    const format = c.req.header("accept")?.includes("text/plain") ? PLAIN_TEXT : NDJSON;
    const open = (signal: AbortSignal) => view.logs(name, options, signal);
    const body = await whileConnected(c, logStream({ open, format, clock, signal: signalOf(c) }));
    return stream(c, body, format.contentType);
  });

  app.get("/api/events", (c) => {
    const seen = readCount(c, "since", { absent: Number(c.req.header("last-event-id")) || 0 });
    if (c.req.header("accept")?.includes("application/json")) {
      return c.json({ events: missedEvents({ events, since: seen }) });
    }
    const onDropped = () => logger.warn("a follower of the events read too slowly and was dropped");
    const body = eventStream({ events, since: seen, clock, signal: signalOf(c), onDropped });
    return stream(c, body, "text/event-stream; charset=utf-8");
  });
}

/** What fails because the client left is no fault of ours, and nobody reads the answer. */
async function whileConnected<T>(c: Context, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!c.req.raw.signal.aborted) throw error;
    throw new AimError("client_closed_request", "the client left before the answer", { cause: error });
  }
}

async function stream(c: Context, body: ReadableStream<Uint8Array>, contentType: string): Promise<Response> {
  const headers = { "Content-Type": contentType, "X-Accel-Buffering": "no" };
  if (c.req.method !== "HEAD") return c.body(body, 200, headers);
  // The answer to HEAD has no body: nobody would read this one, or ever cancel it.
  await body.cancel();
  return c.body(null, 200, headers);
}

function addHealth(app: Hono, { view, metrics, ...deps }: AdminDeps): void {
  app.get("/health/live", (c) => c.json({ status: "live" }));
  app.get("/health/ready", (c) => {
    const problems = view.problems();
    return problems.length === 0 ? c.json({ status: "ready" }) : c.json({ status: "not ready", problems }, 503);
  });
  app.get("/metrics", async (c) => {
    deps.beforeMetrics?.();
    return c.body(await metrics.registry.metrics(), 200, { "Content-Type": metrics.registry.contentType });
  });
}
