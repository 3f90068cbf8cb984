import { connect } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { until } from "../support/until.ts";
import { startAdminServer, type AdminServer } from "./admin-server.ts";
import { launched, makeReplica, ScriptedView } from "./scripted-view.ts";

let view: ScriptedView;
let server: AdminServer;
let gaugesRead = 0;

beforeEach(async () => {
  view = new ScriptedView();
  gaugesRead = 0;
  server = await startAdminServer(view, { beforeMetrics: () => gaugesRead++ });
});

afterEach(() => server.close());

async function get(path: string, headers: Record<string, string> = {}) {
  const response = await fetch(server.url + path, { headers });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

async function launch(body: unknown, contentType = "application/json") {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const headers = { "content-type": contentType };
  const response = await fetch(`${server.url}/api/replicas`, { method: "POST", headers, body: text });
  return { status: response.status, body: await response.json() };
}

describe("what there is", () => {
  it("answers lists as objects with one named array, never cached", async () => {
    view.replicaList = [makeReplica()];
    const expected = {
      "/api/models": { models: view.modelList },
      "/api/recipes": { recipes: [], problems: [] },
      "/api/replicas": { replicas: view.replicaList },
      "/api/gpus": { gpus: [] },
      "/api/runtimes": { runtimes: [] },
      "/api/version": { version: "1.2.3" },
    };
    for (const [path, body] of Object.entries(expected)) {
      const answer = await get(path);
      expect({ path, body: answer.body }).toEqual({ path, body });
      expect(answer.headers.get("cache-control")).toBe("no-store");
    }
  });

  it("answers one replica by name, and 404 where there is none", async () => {
    view.replicaList = [makeReplica()];
    expect((await get("/api/replicas/demo-1")).body).toEqual(view.replicaList[0]);
    const missing = await get("/api/replicas/demo-2");
    expect(missing.status).toBe(404);
    expect(missing.body).toMatchObject({ error: { code: "replica_not_found" } });
    expect(missing.headers.get("cache-control")).toBe("no-store");
  });

  it("brings the gauges up to date before it shows the metrics", async () => {
    const response = await fetch(`${server.url}/metrics`);
    expect(response.headers.get("content-type")).toMatch(/^text\/plain; version=/);
    expect(await response.text()).toContain("# TYPE aim_replicas gauge");
    expect(gaugesRead).toBe(1);
  });
});

describe("health", () => {
  it("is live whatever is wrong, and ready only without problems", async () => {
    expect(await get("/health/ready")).toMatchObject({ status: 200, body: { status: "ready" } });
    view.notReady = ["cannot reach Docker"];
    expect(await get("/health/live")).toMatchObject({ status: 200 });
    expect(await get("/health/ready")).toMatchObject({
      status: 503,
      body: { status: "not ready", problems: ["cannot reach Docker"] },
    });
  });
});

describe("launching", () => {
  it("answers 201 with the replica, and passes on every wish", async () => {
    const wish = { model: "demo", gpus: 2, precision: "fp8", engine: "vllm", recipe: "demo", pinned: true };
    const answer = await launch({ ...wish, keepAlive: "1h30m" });
    expect(answer).toMatchObject({ status: 201, body: { created: true, replica: { name: "demo-1" } } });
    expect(view.launches).toEqual([{ ...wish, keepAliveMs: 5_400_000 }]);
  });

  it("answers 200 when the replica was there already", async () => {
    view.onLaunch = async () => ({ ...launched(makeReplica()), created: false });
    expect((await launch({ model: "demo" })).status).toBe(200);
    expect(view.launches).toEqual([{ model: "demo" }]);
  });

  it.each([
    ["an unknown field", { model: "demo", gpu: 1 }, 'Unrecognized key: "gpu"'],
    ["no model", { gpus: 1 }, "model:"],
    ["an empty model", { model: "" }, "model:"],
    ["half a GPU", { model: "demo", gpus: 0.5 }, "gpus:"],
    ["fewer than no GPUs", { model: "demo", gpus: -1 }, "gpus:"],
    ["a keep-alive without a unit", { model: "demo", keepAlive: "90" }, 'such as "30m"'],
    ["a pin that is neither on nor off", { model: "demo", pinned: "yes" }, "pinned:"],
    ["no object", [], "expected object"],
  ])("refuses %s and says what is expected", async (_, body, message) => {
    const answer = await launch(body);
    expect(answer).toMatchObject({ status: 400, body: { error: { code: "invalid_value" } } });
    expect(JSON.stringify(answer.body).replaceAll("\\", "")).toContain(message);
    expect(JSON.stringify(answer.body)).toContain("model, gpus, precision, engine, recipe, keepAlive");
    expect(view.launches).toEqual([]);
  });

  it("refuses what is not JSON", async () => {
    expect(await launch("{")).toMatchObject({ status: 400, body: { error: { code: "invalid_json" } } });
  });

  it("refuses a body by any other name than JSON, which a foreign web page could send", async () => {
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"]) {
      const answer = await launch({ model: "demo" }, type);
      expect(answer).toMatchObject({ status: 415, body: { error: { code: "unsupported_media_type" } } });
    }
    expect((await launch({ model: "demo" }, "Application/JSON; charset=utf-8")).status).toBe(201);
    expect(view.launches).toHaveLength(1);
  });

  it("refuses a body beyond any launch", async () => {
    const answer = await launch({ model: "x".repeat(100_000) });
    expect(answer).toMatchObject({ status: 413, body: { error: { code: "request_too_large" } } });
  });

  it.each(["content-length: 100", "transfer-encoding: chunked"])(
    "lets a client leave within its body, which is no fault: %s",
    async (framing) => {
      const { hostname, port } = new URL(server.url);
      const socket = connect(Number(port), hostname);
      const head = `POST /api/replicas HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\n${framing}`;
      socket.write(`${head}\r\n\r\n5\r\n{"mod\r\n`, () => socket.resetAndDestroy());
      await until(() => server.errors.length > 0, { what: "the error" });
      expect(server.errors[0]).toMatchObject({ code: "client_closed_request" });
    },
  );

  it("tells the control plane when the client leaves, which is no fault", async () => {
    let left = false;
    view.onLaunch = (_, signal) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          left = true;
          reject(new Error("aborted"));
        });
      });
    const leaving = new AbortController();
    const headers = { "content-type": "application/json" };
    const asking = fetch(`${server.url}/api/replicas`, {
      method: "POST",
      headers,
      body: '{"model":"demo"}',
      signal: leaving.signal,
    });
    await until(() => view.launches.length === 1);
    leaving.abort();
    await expect(asking).rejects.toThrow("aborted");
    await until(() => left);
    await until(() => server.errors.length === 1);
    expect(server.errors[0]).toMatchObject({ code: "client_closed_request" });
  });
});

describe("stopping", () => {
  const stop = async (path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`${server.url}/api/replicas/${path}`, { method: "DELETE", headers });
    return { status: response.status, body: await response.json() };
  };

  it("stops by replica, and by model id whether its slash is raw or encoded", async () => {
    view.replicaList = [makeReplica({ name: "big-1", model: "org/big" })];
    expect(await stop("org/big")).toMatchObject({ status: 200, body: { replicas: [{ name: "big-1" }] } });
    expect(await stop("org%2Fbig")).toEqual({ status: 200, body: { replicas: [] } });
    expect((await stop("demo?force=true")).status).toBe(200);
    expect(view.stops).toEqual([
      { name: "org/big", options: { force: false } },
      { name: "org/big", options: { force: false } },
      { name: "demo", options: { force: true } },
    ]);
  });

  it("answers 404 for a name that nobody knows, and 400 for a force that is neither", async () => {
    expect(await stop("typo")).toMatchObject({ status: 404, body: { error: { code: "replica_not_found" } } });
    expect(await stop("demo?force=maybe")).toMatchObject({
      status: 400,
      body: { error: { param: "force" } },
    });
  });

  it("refuses what a browser sends from another web page", async () => {
    for (const site of ["cross-site", "same-site"]) {
      const answer = await stop("demo", { "sec-fetch-site": site });
      expect(answer).toMatchObject({ status: 403, body: { error: { code: "forbidden_host" } } });
    }
    expect(view.stops).toEqual([]);
    expect((await stop("demo", { "sec-fetch-site": "same-origin" })).status).toBe(200);
  });
});
