import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AimError } from "../../src/errors.ts";
import { until } from "../support/until.ts";
import { startAdminServer, type AdminServer } from "./admin-server.ts";
import {
  launched,
  makeExplanation,
  makeGpu,
  makeModel,
  makeReplica,
  makeStats,
  ScriptedView,
} from "./scripted-view.ts";

let view: ScriptedView;
let server: AdminServer;

beforeEach(async () => {
  view = new ScriptedView();
  server = await startAdminServer(view);
});

afterEach(() => server.close());

interface Ask {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

function ask(path: string, { body, headers, ...rest }: Ask = {}): Promise<Response> {
  const json = body === undefined ? {} : { "content-type": "application/json" };
  const text = body === undefined ? {} : { body: JSON.stringify(body) };
  return fetch(server.url + path, { ...rest, ...text, headers: { ...json, ...headers } });
}

async function answer(path: string, options: Ask = {}) {
  const response = await ask(path, options);
  return { status: response.status, body: await response.json() };
}

const post = (path: string, options: Ask = {}) => answer(path, { method: "POST", ...options });

describe("explaining", () => {
  it("answers what a launch would do, and passes on every wish", async () => {
    const found = await answer("/api/explain?model=org/big&gpus=4&precision=fp8&engine=vllm&recipe=big");
    expect(found).toEqual({ status: 200, body: { explanation: makeExplanation({ model: "org/big" }) } });
    await answer("/api/explain?model=demo");
    expect(view.explained).toEqual([
      { model: "org/big", gpus: 4, precision: "fp8", engine: "vllm", recipe: "big" },
      { model: "demo" },
    ]);
  });

  it("needs a model, and a number of GPUs that is one", async () => {
    expect(await answer("/api/explain")).toMatchObject({ status: 400, body: { error: { param: "model" } } });
    const many = await answer("/api/explain?model=demo&gpus=lots");
    expect(many).toMatchObject({ status: 400, body: { error: { param: "gpus" } } });
    expect(view.explained).toEqual([]);
  });

  it("is what a launch does that is only to be tried: nothing is launched", async () => {
    const wish = { model: "demo", replicas: 2, on: ["0", "0000:c1:00.0"], name: "mine", flags: ["--seed", "1"] };
    const tried = await post("/api/replicas", { body: { ...wish, dryRun: true } });
    expect(tried).toEqual({ status: 200, body: { explanation: makeExplanation() } });
    expect(view.explained).toEqual([wish]);
    expect(view.launches).toEqual([]);
    await post("/api/replicas", { body: { ...wish, dryRun: false } });
    expect(view.launches).toEqual([wish]);
  });

  it("passes on why a name is not known", async () => {
    view.onExplain = ({ model }) => {
      throw new AimError("model_not_found", `there is no model ${model}`, { param: "model" });
    };
    expect(await answer("/api/explain?model=typo")).toMatchObject({
      status: 404,
      body: { error: { code: "model_not_found", message: "there is no model typo" } },
    });
  });
});

describe("launching with more to say", () => {
  it.each([
    ["no replicas", { replicas: 0 }, "replicas:"],
    ["too many replicas", { replicas: 65 }, "replicas:"],
    ["GPUs that are no texts", { on: [0] }, "on.0:"],
    ["an empty list of GPUs", { on: [] }, "on:"],
    ["flags in one text", { flags: "--seed 1" }, "flags:"],
    ["an empty name", { name: "" }, "name:"],
    ["a dry run that is neither", { dryRun: "yes" }, "dryRun:"],
  ])("refuses %s", async (_, wish, message) => {
    const refused = await post("/api/replicas", { body: { model: "demo", ...wish } });
    expect(refused).toMatchObject({ status: 400, body: { error: { code: "invalid_value" } } });
    expect(JSON.stringify(refused.body)).toContain(message);
    expect(view.launches).toEqual([]);
  });

  it("answers with all replicas that were asked for", async () => {
    view.onLaunch = async () => launched(makeReplica(), makeReplica({ name: "demo-2" }));
    expect(await post("/api/replicas", { body: { model: "demo", replicas: 2 } })).toMatchObject({
      status: 201,
      body: { replica: { name: "demo-1" }, replicas: [{ name: "demo-1" }, { name: "demo-2" }] },
    });
  });
});

describe("starting again", () => {
  it("answers as a launch does, by replica and by model whether its slash is raw or encoded", async () => {
    expect(await post("/api/replicas/demo-1/restart")).toMatchObject({ status: 201, body: { created: true } });
    await post("/api/replicas/org/big/restart?force=true");
    await post("/api/replicas/org%2Fbig/restart?force=false");
    await post("/api/replicas/org%2Frestart/restart");
    expect(view.restarts).toEqual([
      { name: "demo-1", options: { force: false } },
      { name: "org/big", options: { force: true } },
      { name: "org/big", options: { force: false } },
      { name: "org/restart", options: { force: false } },
    ]);
  });

  it("passes on why it cannot be", async () => {
    view.onRestart = async () => {
      throw new AimError("conflict", "its recipe is gone");
    };
    expect(await post("/api/replicas/demo-1/restart")).toMatchObject({ status: 409 });
  });
});

describe("removing", () => {
  const remove = (path: string, options: Ask = {}) => answer(`/api/replicas/${path}`, { method: "DELETE", ...options });

  it("answers the names of what was removed, and stops nothing by itself", async () => {
    view.onRemove = async () => ["big-1", "big-2"];
    expect(await remove("org/big/remains?force")).toEqual({ status: 200, body: { removed: ["big-1", "big-2"] } });
    await remove("org%2Fbig/remains");
    expect(view.removals).toEqual([
      { name: "org/big", options: { force: true } },
      { name: "org/big", options: { force: false } },
    ]);
    expect(view.stops).toEqual([]);
  });

  it("tells a model of that name, encoded, from what is left of one", async () => {
    view.modelList = [makeModel({ model: "org/remains" })];
    expect(await remove("org%2Fremains")).toEqual({ status: 200, body: { replicas: [] } });
    expect(view.removals).toEqual([]);
    expect(view.stops).toMatchObject([{ name: "org/remains" }]);
  });
});

describe("pulling", () => {
  it("streams one JSON value a line, the last one done", async () => {
    const response = await ask("/api/pull", { method: "POST", body: { name: "org/big" } });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/x-ndjson");
    expect(await response.text()).toBe(
      '{"kind":"progress","image":"org/big","doneBytes":1,"totalBytes":2,"layers":[]}\n{"kind":"done","image":"org/big"}\n',
    );
    expect(view.pulls).toEqual(["org/big"]);
  });

  it("answers with the error itself while nothing was sent yet", async () => {
    view.onPull = async function* () {
      yield* [];
      throw new AimError("runtime_failed", "there is no such image");
    };
    const refused = await post("/api/pull", { body: { name: "x" } });
    expect(refused).toMatchObject({ status: 500, body: { error: { code: "runtime_failed" } } });
  });

  it("tells of a failure in the stream once it has begun", async () => {
    view.onPull = async function* (image) {
      yield { kind: "progress", image, doneBytes: 1, layers: [] };
      throw new AimError("runtime_failed", "the registry went away");
    };
    const response = await ask("/api/pull", { method: "POST", body: { name: "x" } });
    expect((await response.text()).split("\n")[1]).toBe(
      '{"error":{"message":"the registry went away","type":"server_error","param":null,"code":"runtime_failed"}}',
    );
  });

  it.each(["leaves", "is told that the gateway stops"])("is let go of when its client %s", async (how) => {
    view.onPull = async function* (image, signal) {
      yield { kind: "progress", image, doneBytes: 1, layers: [] };
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      signal.throwIfAborted();
    };
    const leaving = new AbortController();
    const response = await ask("/api/pull", { method: "POST", body: { name: "x" }, signal: leaving.signal });
    const rest = response.text();
    if (how === "leaves") {
      leaving.abort();
      await expect(rest).rejects.toThrow("aborted");
    } else {
      server.stopStreams();
      expect(await rest).toContain('\n{"error":');
    }
    await until(() => view.openPulls === 0);
  });

  it("takes a name and nothing else", async () => {
    const refused = await post("/api/pull", { body: { image: "x" } });
    expect(refused).toMatchObject({ status: 400, body: { error: { code: "invalid_value" } } });
    expect(JSON.stringify(refused.body)).toContain("the fields are name");
    expect(await post("/api/pull", { headers: { "content-type": "text/plain" } })).toMatchObject({ status: 415 });
    expect(view.pulls).toEqual([]);
  });
});

describe("the machine and what runs on it", () => {
  it("answers measurements and checks as lists", async () => {
    view.statsList = [makeStats()];
    view.checkList = [{ name: "docker", status: "ok", found: "Docker 29.0" }];
    expect(await answer("/api/stats")).toEqual({ status: 200, body: { stats: view.statsList } });
    expect(await answer("/api/doctor")).toEqual({ status: 200, body: { checks: view.checkList } });
  });

  it("shows a model by its id, whether its slash is raw or encoded", async () => {
    const shown = { kind: "model" as const, model: makeModel({ model: "org/big" }), recipes: [] };
    view.shown.set("org/big", shown);
    expect(await answer("/api/show/org/big")).toEqual({ status: 200, body: shown });
    expect(await answer("/api/show/org%2Fbig")).toEqual({ status: 200, body: shown });
    expect(await answer("/api/show/typo")).toMatchObject({
      status: 404,
      body: { error: { code: "replica_not_found" } },
    });
  });

  it("releases a GPU by number, address, or the name of a part of one", async () => {
    view.gpuList = [makeGpu(), makeGpu({ id: "0000:02:00.0/renderD129", number: 1 })];
    expect(await post("/api/gpus/0/release")).toEqual({ status: 200, body: view.gpuList[0] });
    expect(await post("/api/gpus/0000:02:00.0%2FrenderD129/release")).toMatchObject({ body: { number: 1 } });
    expect(await post("/api/gpus/0000:02:00.0/renderD129/release")).toMatchObject({ body: { number: 1 } });
    expect(await post("/api/gpus/9/release")).toMatchObject({ status: 400, body: { error: { param: "id" } } });
    expect(view.releases).toHaveLength(4);
  });
});

describe("pinning", () => {
  it("answers with the replicas meant, by replica and by model whether its slash is raw or encoded", async () => {
    view.replicaList = [makeReplica(), makeReplica({ name: "big-1", model: "org/big" })];
    expect(await post("/api/replicas/demo-1/pin")).toMatchObject({
      status: 200,
      body: { replicas: [{ name: "demo-1" }] },
    });
    expect(await post("/api/replicas/org/big/pin")).toMatchObject({ body: { replicas: [{ name: "big-1" }] } });
    await post("/api/replicas/org%2Fbig/unpin");
    expect(view.pins).toEqual([
      { name: "demo-1", pinned: true },
      { name: "org/big", pinned: true },
      { name: "org/big", pinned: false },
    ]);
  });

  it("is refused for what does not run", async () => {
    expect(await post("/api/replicas/other/pin")).toMatchObject({ status: 404 });
  });
});

describe("another web page", () => {
  const changes: readonly (readonly [string, string])[] = [
    ["POST", "/api/replicas/demo-1/restart"],
    ["POST", "/api/replicas/demo-1/pin"],
    ["POST", "/api/replicas/demo-1/unpin"],
    ["DELETE", "/api/replicas/demo-1/remains"],
    ["DELETE", "/api/replicas/demo-1"],
    ["POST", "/api/gpus/0/release"],
    ["POST", "/api/pull"],
    ["POST", "/api/replicas"],
  ];

  it.each(changes)("cannot %s %s, whatever its browser tells about it", async (method, path) => {
    const foreign: readonly Record<string, string>[] = [
      { "sec-fetch-site": "cross-site" },
      { origin: "http://evil.example" },
      { origin: "null" },
    ];
    for (const headers of foreign) {
      expect(await answer(path, { method, headers })).toMatchObject({ status: 403 });
    }
    const done = [view.restarts, view.pins, view.removals, view.stops, view.releases, view.pulls];
    expect(done.flat()).toEqual([]);
  });

  it("is not what our own page is taken for", async () => {
    const own: readonly Record<string, string>[] = [{ origin: server.url }, { "sec-fetch-site": "same-origin" }];
    for (const headers of own) expect((await post("/api/replicas/demo-1/restart", { headers })).status).toBe(201);
  });
});
