// What operators ask about the machine and what runs on it: explain, show, stats, doctor, pull, and the release of a GPU.
import { Hono, type Context } from "hono";
import { AimError } from "../errors.ts";
import { systemClock } from "../lib/clock.ts";
import { limitBody, readPull } from "./body.ts";
import { signalOf, streamed, whileConnected } from "./connection.ts";
import type { AdminDeps } from "./deps.ts";
import { readCount } from "./query.ts";
import { NDJSON, valueStream } from "./value-stream.ts";
import type { LaunchRequest } from "./view.ts";

const MAX_GPUS = 1024;

/** Ids of models and of parts of a GPU contain "/", which clients send raw or as %2F. */
export function operationRoutes(deps: AdminDeps): Hono {
  const { view, stopping } = deps;
  const app = new Hono();
  app.get("/api/explain", (c) => c.json({ explanation: view.explain(readWish(c)) }));
  app.get("/api/show/:name{.+}", (c) => c.json(view.show(c.req.param("name"))));
  app.post("/api/gpus/:id{.+}/release", (c) => c.json(view.releaseGpu(c.req.param("id"))));
  app.get("/api/stats", async (c) => c.json({ stats: await whileConnected(c, view.stats(signalOf(c, stopping))) }));
  app.get("/api/doctor", async (c) => c.json({ checks: await whileConnected(c, view.examine(signalOf(c, stopping))) }));
  addPull(app, deps);
  return app;
}

/** The first value may take as long as the registry does: before it, a failure has a status of its own. */
function addPull(app: Hono, { view, clock = systemClock, stopping }: AdminDeps): void {
  app.post("/api/pull", limitBody, async (c) => {
    const name = await readPull(c);
    const open = (signal: AbortSignal) => view.pull(name, signal);
    const signal = signalOf(c, stopping);
    const body = await whileConnected(c, valueStream({ open, format: NDJSON, headWithinMs: Infinity, clock, signal }));
    return streamed(c, body, NDJSON.contentType);
  });
}

function readWish(c: Context): LaunchRequest {
  const { model, precision, engine, recipe } = c.req.query();
  if (model === undefined || model === "") {
    throw new AimError("invalid_value", "say which model: /api/explain?model=NAME", { param: "model" });
  }
  return {
    model,
    ...(c.req.query("gpus") === undefined ? {} : { gpus: readCount(c, "gpus", { absent: 0, max: MAX_GPUS }) }),
    ...(precision === undefined ? {} : { precision }),
    ...(engine === undefined ? {} : { engine }),
    ...(recipe === undefined ? {} : { recipe }),
  };
}
