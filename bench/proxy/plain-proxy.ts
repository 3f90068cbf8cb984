// The obvious proxy, which we are not: Hono and fetch, the model found by parsing. `node plain-proxy.ts PORT BACKEND_PORT MODEL`.
import { serve } from "@hono/node-server";
import { Hono } from "hono";

const [port, backend, model] = process.argv.slice(2);
const backends = new Map([[model, `http://127.0.0.1:${backend}`]]);
const app = new Hono();

app.post("/v1/*", async (context) => {
  const body = await context.req.text();
  const origin = backends.get(JSON.parse(body).model);
  if (origin === undefined) return context.json({ error: { message: "no such model" } }, 404);
  const headers = new Headers(context.req.raw.headers);
  headers.delete("host");
  headers.delete("content-length");
  const response = await fetch(origin + context.req.path, { method: "POST", headers, body });
  return new Response(response.body, response);
});

serve({ fetch: app.fetch, hostname: "127.0.0.1", port: Number(port) });
