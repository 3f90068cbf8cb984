import { Hono } from "hono";
import { describe, expect, it } from "vitest";
import { AimError } from "../../src/errors.ts";
import { apiKey, CHAT, MODEL, startGateway } from "./harness.ts";

async function get(url: URL, path: string, init: RequestInit = {}) {
  const response = await fetch(url.origin + path, init);
  const text = await response.text();
  return { status: response.status, headers: response.headers, json: text === "" ? undefined : JSON.parse(text) };
}

describe("the door", () => {
  const admin = new Hono()
    .get("/health/live", (c) => c.json({ ok: true }))
    .get("/health/ready", (c) => c.json({ ok: true }))
    .get("/api/models", (c) => c.json({ ok: true }))
    .get("/metrics", (c) => c.text("{}"));

  it.each([
    "/v1/models",
    `/v1/models/${MODEL}`,
    CHAT,
    "/api/models",
    "/metrics",
    "/nowhere",
    "/",
    "//api/models",
    "/v1/../api/models",
    "/%61pi/models",
    "/api/models/",
    "/API/models",
    "/health/live/",
    "/health/live/../../api/models",
    "/health/liveness",
    "/health%2flive",
  ])("asks for a key at %s", async (path) => {
    const { url } = await startGateway({ keys: [apiKey("k")], admin });
    const { status, json, headers } = await get(url, path);
    expect([path, status, json.error.code]).toEqual([path, 401, "invalid_api_key"]);
    expect(headers.get("www-authenticate")).toBe("Bearer");
    expect(headers.get("x-request-id")).toBeTruthy();
  });

  it.each(["/health/live", "/health/ready"])("leaves GET %s open, and nothing else of it", async (path) => {
    const { url } = await startGateway({ keys: [apiKey("k")], admin });
    expect((await get(url, path)).status).toBe(200);
    expect((await get(url, path, { method: "POST" })).status).toBe(401);
    expect((await get(url, path, { method: "OPTIONS" })).status).toBe(401);
  });

  it("asks before it reads a body or a model is woken", async () => {
    const { chat, pool } = await startGateway({ keys: [apiKey("k")] });
    expect((await chat({}, { body: "x".repeat(100_000) })).status).toBe(401);
    expect(pool.asked).toHaveLength(0);
    expect((await chat({}, { headers: { authorization: "Bearer k" } })).status).toBe(200);
  });

  it("keeps out web pages that had their own name point here", async () => {
    const { url } = await startGateway({ allowedHosts: ["localhost", "127.0.0.1"] });
    expect((await get(url, "/v1/models")).status).toBe(200);
    const named = await startGateway({ allowedHosts: ["localhost"] });
    expect((await get(named.url, "/v1/models")).json.error.code).toBe("forbidden_host");
  });

  it("refuses inference while the gateway goes down", async () => {
    const { chat, url, pool } = await startGateway({ draining: AbortSignal.abort() });
    const response = await chat();
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ error: { code: "shutting_down" } });
    expect(Object.fromEntries(response.headers)).toMatchObject({ connection: "close", "retry-after": "2" });
    expect(pool.asked).toHaveLength(0);
    expect((await get(url, "/v1/models")).status).toBe(200);
  });
});

describe("request ids", () => {
  it.each(["abc-1", "~!", "x".repeat(128)])("echoes the client's %s", async (id) => {
    const { chat } = await startGateway();
    expect((await chat({}, { headers: { "x-request-id": id } })).headers.get("x-request-id")).toBe(id);
  });

  it.each(["has space", "x".repeat(129), "é", ""])("does not echo %j", async (id) => {
    const { chat } = await startGateway();
    const response = await chat({}, { headers: { "x-request-id": id } });
    expect(response.headers.get("x-request-id")).toMatch(/^[0-9a-f]{16}$/);
  });
});

describe("models", () => {
  it("are listed with their status, running or not", async () => {
    const { url } = await startGateway();
    expect((await get(url, "/v1/models")).json).toEqual({
      object: "list",
      data: [
        {
          id: MODEL,
          object: "model",
          created: 1_760_000_000,
          owned_by: "aim-engine",
          status: "ready",
          aliases: ["chat"],
          max_model_len: 8192,
        },
        expect.objectContaining({ id: "acme/broken", status: "failed", reason: "out of GPU memory" }),
      ],
    });
  });

  it.each(["acme/chat-7b", "acme%2Fchat-7b", "chat"])("are found as %s", async (name) => {
    const { url } = await startGateway();
    expect((await get(url, `/v1/models/${name}`)).json).toMatchObject({ id: MODEL, object: "model" });
  });

  it.each(["/v1/models/acme/chatt", "/v1/models/acme%2Fchatt"])("that do not exist get a hint: %s", async (path) => {
    const { url } = await startGateway();
    const { status, json } = await get(url, path);
    expect(status).toBe(404);
    expect(json.error).toMatchObject({
      code: "model_not_found",
      param: "model",
      message: expect.stringMatching(/acme\/chatt.*did you mean "acme\/chat-7b".*\/v1\/models/),
    });
  });

  it("that do not exist are no metric label and cost no lease", async () => {
    const { chat, pool, counter } = await startGateway();
    const response = await chat({ model: "acme/../../etc" });
    expect(response.status).toBe(404);
    expect(response.headers.get("x-should-retry")).toBe("false");
    expect(pool.asked).toHaveLength(0);
    expect(await counter("aim_http_requests_total", { model: "_unknown", code: "404" })).toBe(1);
    expect(await counter("aim_rejections_total", { reason: "model_not_found" })).toBe(1);
  });
});

describe("what is not there", () => {
  it.each(["/v1/rerank", "/v1", "/v1/chat/completions/", "/sleep", "/v1/load_lora_adapter"])(
    "is a 404 in OpenAI's shape: %s",
    async (path) => {
      const { url, backend } = await startGateway();
      const { status, json } = await get(url, path, { method: "POST" });
      expect([status, json.error.code]).toEqual([404, "unknown_url"]);
      expect(backend.requests).toHaveLength(0);
    },
  );

  it.each([
    ["GET", CHAT, "POST"],
    ["OPTIONS", CHAT, "POST"],
    ["PUT", "/v1/completions", "POST"],
    ["DELETE", `/v1/models/${MODEL}`, "GET"],
    ["POST", "/v1/models", "GET"],
  ])("is a 405 for %s %s", async (method, path, allow) => {
    const { url } = await startGateway();
    const { status, json, headers } = await get(url, path, { method });
    expect([status, json.error.code, headers.get("allow")]).toEqual([405, "method_not_supported", allow]);
  });

  it("has no body for HEAD", async () => {
    const { url } = await startGateway();
    expect(await get(url, "/v1/models", { method: "HEAD" })).toMatchObject({ status: 200, json: undefined });
    expect(await get(url, CHAT, { method: "HEAD" })).toMatchObject({ status: 405, json: undefined });
  });
});

describe("what goes wrong elsewhere", () => {
  it("is an internal error to clients, and once in the log with its cause", async () => {
    const admin = new Hono().get("/api/broken", () => {
      throw new Error("canary /etc/secret");
    });
    const { url, log } = await startGateway({ admin });
    const { status, json } = await get(url, "/api/broken");
    expect([status, json.error.code]).toEqual([500, "internal_error"]);
    expect(JSON.stringify(json)).not.toContain("canary");
    expect(log.filter((line) => JSON.stringify(line).includes("canary"))).toHaveLength(1);
  });

  it("keeps its code when the admin routes throw it", async () => {
    const admin = new Hono().get("/api/x", () => {
      throw new AimError("replica_not_found", "there is no replica x");
    });
    const { url } = await startGateway({ admin });
    expect((await get(url, "/api/x")).json.error).toMatchObject({ code: "replica_not_found" });
  });

  it("in the main line is an internal error too, with everything released", async () => {
    const gateway = await startGateway();
    gateway.pool.describeWait = () => {
      throw new Error("canary");
    };
    gateway.pool.tryAcquire = () => {
      throw new TypeError("canary");
    };
    const response = await gateway.chat();
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain("canary");
    const [line] = await gateway.ended();
    expect(line).toMatchObject({ level: 50, outcome: "internal_error", err: { message: "canary" } });
  });
});
