// /api/replicas: start, look at, stop, start again, pin and forget replicas, and read what they write.
import { Hono } from "hono";
import { AimError } from "../errors.ts";
import { systemClock } from "../lib/clock.ts";
import { limitBody, readLaunch } from "./body.ts";
import { signalOf, streamed, whileConnected } from "./connection.ts";
import type { AdminDeps } from "./deps.ts";
import { readCount, readFlag } from "./query.ts";
import { LOG_LINES, PLAIN_LOG_LINES, valueStream } from "./value-stream.ts";

const MAX_TAIL = 100_000;
/** A quiet replica must not hold back the head of its log for longer. */
const LOG_HEAD_MS = 300;

/**
 * A model id contains "/", which clients send raw or as %2F. Raw, a last part that is an action is the action; so what
 * names one more part comes before what takes any name.
 */
export function replicaRoutes(deps: AdminDeps): Hono {
  const app = new Hono();
  addLogs(app, deps);
  addActions(app, deps);
  addReplicas(app, deps);
  return app;
}

function addReplicas(app: Hono, { view }: AdminDeps): void {
  app.get("/api/replicas", (c) => c.json({ replicas: view.replicas() }));
  app.get("/api/replicas/:name", (c) => {
    const name = c.req.param("name");
    const replica = view.replicas().find((candidate) => candidate.name === name);
    if (replica === undefined) {
      throw new AimError("replica_not_found", `there is no replica ${name}; GET /api/replicas lists them`);
    }
    return c.json(replica);
  });
  app.post("/api/replicas", limitBody, async (c) => {
    const { request, dryRun } = await readLaunch(c);
    if (dryRun) return c.json({ explanation: view.explain(request) });
    const result = await whileConnected(c, view.launch(request, c.req.raw.signal));
    return c.json(result, result.created ? 201 : 200);
  });
  app.delete("/api/replicas/:name{.+}", async (c) => {
    const options = { force: readFlag(c, "force") };
    const stopped = view.stop(c.req.param("name"), options, c.req.raw.signal);
    return c.json({ replicas: await whileConnected(c, stopped) });
  });
}

function addActions(app: Hono, { view }: AdminDeps): void {
  app.post("/api/replicas/:name{.+}/restart", async (c) => {
    const options = { force: readFlag(c, "force") };
    const restarted = view.restart(c.req.param("name"), options, c.req.raw.signal);
    const result = await whileConnected(c, restarted);
    return c.json(result, result.created ? 201 : 200);
  });
  app.post("/api/replicas/:name{.+}/pin", (c) => c.json({ replicas: view.pin(c.req.param("name"), true) }));
  app.post("/api/replicas/:name{.+}/unpin", (c) => c.json({ replicas: view.pin(c.req.param("name"), false) }));
  app.delete("/api/replicas/:name{.+}/remains", async (c) => {
    const options = { force: readFlag(c, "force") };
    const removed = view.remove(c.req.param("name"), options, c.req.raw.signal);
    return c.json({ removed: await whileConnected(c, removed) });
  });
}

function addLogs(app: Hono, { view, clock = systemClock, stopping }: AdminDeps): void {
  app.get("/api/replicas/:name{.+}/logs", async (c) => {
    const name = c.req.param("name");
    const options = {
      follow: readFlag(c, "follow"),
      tail: readCount(c, "tail", { max: MAX_TAIL, absent: 100 }),
    };
    const format = c.req.header("accept")?.includes("text/plain") ? PLAIN_LOG_LINES : LOG_LINES;
    const open = (signal: AbortSignal) => view.logs(name, options, signal);
    const signal = signalOf(c, stopping);
    const body = await whileConnected(c, valueStream({ open, format, headWithinMs: LOG_HEAD_MS, clock, signal }));
    return streamed(c, body, format.contentType);
  });
}
