// GET /v1/models: every model there is a recipe for, running or not, answered from memory.
import { Hono } from "hono";
import type { GatewayDeps } from "./deps.ts";
import type { ModelCard } from "./pool.ts";
import { modelNotFound } from "./resolve.ts";

export function createModelRoutes({ directory, nearest }: Pick<GatewayDeps, "directory" | "nearest">): Hono {
  const app = new Hono();
  app.get("/v1/models", (c) => c.json({ object: "list", data: directory.list().map(modelObject) }));
  // A model id contains "/", which clients send raw or as %2F.
  app.get("/v1/models/:id{.+}", (c) => {
    const name = c.req.param("id");
    const card = directory.find(name);
    if (card === undefined) throw modelNotFound(name, { nearest });
    return c.json(modelObject(card));
  });
  return app;
}

/** OpenAI's model object, and what else is worth knowing before one asks. Absent fields are left out. */
function modelObject(card: ModelCard): object {
  return {
    id: card.id,
    object: "model",
    created: Math.floor(card.createdAt),
    owned_by: "aim-engine",
    status: card.status,
    reason: card.reason,
    aliases: card.aliases,
    max_model_len: card.maxModelLen,
  };
}
