import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { until } from "../support/until.ts";
import { at, chat, type Rig, startAndLeave, startRig } from "./rig.ts";

describe("the server", () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await startRig({ flags: ["--served-model-name", "test-model", "other", "--max-model-len=200"] });
  });
  afterAll(() => rig.stop());

  it("is healthy with an empty body, as uvicorn answers", async () => {
    const response = await fetch(`${rig.url}/health`);
    expect(response.status).toBe(200);
    expect(await response.text()).toBe("");
    expect(response.headers.get("server")).toBe("uvicorn");
    expect(response.headers.get("keep-alive")).toBeNull();
  });

  it.each(["GET", "POST"])("answers %s /ping", async (method) => {
    expect((await fetch(`${rig.url}/ping`, { method })).status).toBe(200);
  });

  it("lists one entry per served name", async () => {
    const models = await (await fetch(`${rig.url}/v1/models`)).json();
    expect(models).toMatchObject({ object: "list", data: [{ id: "test-model" }, { id: "other" }] });
    expect(at(models, "data.1")).toEqual({
      id: "other",
      object: "model",
      created: expect.any(Number),
      owned_by: "vllm",
      root: "test-model",
      parent: null,
      max_model_len: 200,
    });
  });

  it("tells a version that is marked as simulated", async () => {
    expect(await (await fetch(`${rig.url}/version`)).json()).toEqual({ version: "0.22.0+sim" });
  });

  it("counts tokens as it bills them", async () => {
    const body = chat("How many tokens are these?");
    const counted = await (await rig.post("/tokenize", body)).json();
    const answered = await (await rig.post("/v1/chat/completions", body)).json();
    expect(counted).toMatchObject({ count: at(answered, "usage.prompt_tokens"), max_model_len: 200 });
    expect(at(counted, "tokens")).toHaveLength(Number(at(counted, "count")));
    const text = await (await rig.post("/tokenize", { prompt: "one two" })).json();
    expect(text).toMatchObject({ count: 2 });
  });

  it.each([
    ["an unknown path", "GET", "/nope", 404, "Not Found"],
    ["a wrong method", "GET", "/v1/chat/completions", 405, "Method Not Allowed"],
    ["sleep mode that is off", "POST", "/sleep", 404, "Not Found"],
    ["a path that is no URL", "GET", "//", 404, "Not Found"],
  ] as const)("refuses %s", async (...[, method, path, status, message]) => {
    const response = await fetch(rig.url + path, { method });
    expect(response.status).toBe(status);
    expect(await response.json()).toEqual({ error: { message, type: message, param: null, code: status } });
  });

  it.each([
    ["bad JSON", "{", 400, "JSON decode error"],
    ["JSON that is no object", "[]", 400, "Input should be a valid dictionary"],
    ["another model", chat("x", { model: "gpt-5" }), 404, "The model `gpt-5` does not exist."],
    ["no messages", { model: "test-model" }, 400, "messages: Field required"],
    ["an empty conversation", { messages: [] }, 400, "at least 1 item"],
    ["a message that is no object", { messages: ["x"] }, 400, "messages.0: Input should"],
    ["a turn without a role", { messages: [{ content: "x" }] }, 400, "messages.0.role"],
    ["a bad limit", chat("x", { max_tokens: "many" }), 400, "max_tokens: Input should be"],
    ["a limit of nothing", chat("x", { max_tokens: 0 }), 400, "max_tokens must be at least 1"],
    ["a limit past the context", chat("x", { max_tokens: 200 }), 400, "is too large: 200"],
    ["too many choices", chat("x", { n: 99_999 }), 400, "n must be at most 16384"],
    ["a prompt past the context", chat("word ".repeat(300)), 400, "Please reduce the length"],
    ["an empty stop string", chat("x", { stop: [""] }), 400, "stop cannot contain"],
    [
      "stream options without a stream",
      chat("x", { stream_options: { include_usage: true } }),
      400,
      "Stream options can only be defined",
    ],
  ])("refuses %s", async (_, body, status, message) => {
    const type = status === 404 ? "NotFoundError" : "BadRequestError";
    const response = await rig.post("/v1/chat/completions", body);
    expect(response.status).toBe(status);
    const error = { type, code: status, message: expect.stringContaining(message) };
    expect(await response.json()).toMatchObject({ error });
  });

  it("refuses what is not declared as JSON", async () => {
    const headers = { "content-type": "text/plain" };
    const response = await rig.post("/v1/chat/completions", chat("x"), { headers });
    expect(response.status).toBe(400);
    const message = expect.stringContaining("Only 'application/json' is allowed");
    expect(await response.json()).toMatchObject({ error: { message } });
  });

  it("puts the client's request id into its own", async () => {
    const headers = { "x-request-id": "abc" };
    const response = await rig.post("/v1/chat/completions", chat("x"), { headers });
    expect(await response.json()).toMatchObject({ id: "chatcmpl-abc" });
    expect(response.headers.get("x-request-id")).toBeNull();
  });

  it("writes an access line per answer", async () => {
    await (await rig.post("/v1/chat/completions", chat("x"))).text();
    await until(() => /127\.0\.0\.1:\d+ - "POST \/v1\/chat\/completions HTTP\/1\.1" 200 OK/.test(rig.log()));
  });

  it("lives on when a client leaves in the middle of its body", async () => {
    const socket = connect(Number(new URL(rig.url).port), "127.0.0.1");
    socket.write(
      "POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{",
    );
    await until(() => socket.readyState === "open");
    socket.destroy();
    expect((await fetch(`${rig.url}/health`)).status).toBe(200);
    expect(rig.log()).not.toContain("Internal server error");
  });
});

describe("a client that leaves", () => {
  it.each([
    ["a stream", "/v1/chat/completions", chat("x", { stream: true, max_tokens: 5000, ignore_eos: true })],
    ["an answer in one piece", "/v1/chat/completions", chat("x", { max_tokens: 5000, ignore_eos: true })],
    ["a completion of many", "/v1/completions", { prompt: ["a", "b"], max_tokens: 5000, ignore_eos: true }],
  ])("frees its slots at once: %s", async (_, path, body) => {
    await using rig = await startRig();
    await startAndLeave(rig, path, body);
    await until(() => /Aborted request (chat)?cmpl-/.test(rig.log()));
    expect(await rig.metric("vllm:num_requests_running")).toBe(0);
    expect(await rig.metric("vllm:kv_cache_usage_perc")).toBe(0);
    expect(await rig.metric("vllm:request_success_total", 'finished_reason="abort"')).toBeGreaterThan(0);
  });

  it("is forgotten while it waits for an embedding", async () => {
    await using rig = await startRig({ flags: ["--sim-hang"] });
    const leaving = new AbortController();
    const pending = rig.post("/v1/embeddings", { input: "x" }, { signal: leaving.signal }).catch(() => undefined);
    await until(async () => (await rig.metric("vllm:num_requests_running")) === 1);
    leaving.abort();
    await pending;
    await until(() => rig.log().includes("Aborted request embd-"));
    expect(await rig.metric("vllm:num_requests_running")).toBe(0);
  });
});

describe("--api-key", () => {
  it("guards the versioned paths alone", async () => {
    await using rig = await startRig({ flags: ["--api-key", "one", "two"] });
    const refused = await fetch(`${rig.url}/v1/models`);
    expect(refused.status).toBe(401);
    expect(await refused.json()).toEqual({ error: "Unauthorized" });
    for (const authorization of ["Bearer three", "Basic one", "one"])
      expect((await fetch(`${rig.url}/v1/models`, { headers: { authorization } })).status).toBe(401);
    for (const authorization of ["Bearer one", "bearer two"])
      expect((await fetch(`${rig.url}/v1/models`, { headers: { authorization } })).status).toBe(200);
    expect((await fetch(`${rig.url}/v1/models`, { method: "OPTIONS" })).status).toBe(405);
    expect((await fetch(`${rig.url}/metrics`)).status).toBe(200);
    expect((await rig.post("/tokenize", { prompt: "x" })).status).toBe(200);
  });
});

describe("idle connections", () => {
  it("are closed after uvicorn's time, which the environment can change", async () => {
    await using rig = await startRig({ env: { VLLM_HTTP_TIMEOUT_KEEP_ALIVE: "1" } });
    const socket = connect(Number(new URL(rig.url).port), "127.0.0.1");
    let closedAt = 0;
    socket.on("close", () => (closedAt = performance.now())).resume();
    socket.write("GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
    const answeredAt = await new Promise<number>((resolve) => socket.once("data", () => resolve(performance.now())));
    await until(() => closedAt > 0);
    expect(closedAt - answeredAt).toBeGreaterThan(900);
    expect(closedAt - answeredAt).toBeLessThan(3000);
  });
});

describe("flags of the answers", () => {
  it("sends the request id back when it is told to", async () => {
    await using rig = await startRig({ flags: ["--enable-request-id-headers"] });
    const response = await fetch(`${rig.url}/health`, { headers: { "x-request-id": "abc" } });
    expect(response.headers.get("x-request-id")).toBe("abc");
  });

  it("writes no access lines when it is told not to", async () => {
    await using rig = await startRig({ flags: ["--disable-uvicorn-access-log"] });
    await (await rig.post("/v1/completions", { prompt: "x" })).text();
    await until(() => rig.log().includes("Received request cmpl-"));
    await rig.stop();
    expect(rig.log()).not.toContain("HTTP/1.1");
  });
});

describe("metrics", () => {
  it("count what was generated", async () => {
    await using rig = await startRig();
    await (await rig.post("/v1/completions", { prompt: "one two three", max_tokens: 5 })).text();
    expect(await rig.metric("vllm:prompt_tokens_total")).toBe(3);
    expect(await rig.metric("vllm:generation_tokens_total")).toBe(5);
    expect(await rig.metric("vllm:request_success_total", 'finished_reason="length"')).toBe(1);
    expect(await rig.metric("vllm:time_to_first_token_seconds_count")).toBe(1);
    expect(await rig.metric("vllm:inter_token_latency_seconds_count")).toBe(4);
    expect(await rig.metric("vllm:iteration_tokens_total_count")).toBe(5);
    expect(await rig.metric("vllm:iteration_tokens_total_sum")).toBe(7);
  });

  it("tell of the cache", async () => {
    await using rig = await startRig({ flags: ["--enable-prompt-tokens-details"] });
    const prompt = "A beginning that is long enough for some blocks of sixteen tokens each, is it not? ".repeat(5);
    const ask = async () => (await rig.post("/v1/completions", { prompt, max_tokens: 1 })).json();
    const [first, second] = [await ask(), await ask()];
    expect(at(first, "usage.prompt_tokens_details")).toEqual({ cached_tokens: 0 });
    const cached = Number(at(second, "usage.prompt_tokens_details.cached_tokens"));
    expect(cached).toBeGreaterThan(64);
    expect(cached % 16).toBe(0);
    expect(await rig.metric("vllm:prefix_cache_hits_total")).toBe(cached);
    expect(await rig.metric("vllm:prefix_cache_queries_total")).toBe(2 * Number(at(first, "usage.prompt_tokens")));
    const config = 'block_size="16",num_gpu_blocks="16384",gpu_memory_utilization="0.92",enable_prefix_caching="True"';
    expect(await rig.metric("vllm:cache_config_info", config)).toBe(1);
  });
});

describe("sleep mode", () => {
  const endOf = async (pending: Promise<Response>) => at(await (await pending).json(), "choices.0.finish_reason");
  const dev = { flags: ["--enable-sleep-mode"], env: { VLLM_SERVER_DEV_MODE: "1" } };

  it("takes the flag and the developers' variable", async () => {
    await using rig = await startRig({ flags: ["--enable-sleep-mode"] });
    expect((await fetch(`${rig.url}/is_sleeping`)).status).toBe(404);
  });

  it("sleeps, makes requests wait, and goes on when it wakes", async () => {
    await using rig = await startRig(dev);
    expect((await rig.post("/sleep?level=1", "")).status).toBe(200);
    expect(await (await fetch(`${rig.url}/is_sleeping`)).json()).toEqual({ is_sleeping: true });
    expect((await fetch(`${rig.url}/health`)).status).toBe(200);
    expect(await rig.metric("vllm:engine_sleep_state", 'sleep_state="weights_offloaded"')).toBe(1);
    const pending = rig.post("/v1/completions", { prompt: "x", max_tokens: 1 });
    await until(async () => (await rig.metric("vllm:num_requests_waiting")) === 1);
    expect((await rig.post("/wake_up", "")).status).toBe(200);
    expect((await pending).status).toBe(200);
    expect(await rig.metric("vllm:engine_sleep_state", 'sleep_state="awake"')).toBe(1);
    expect(rig.log()).toContain("/v1/completions was asked for in its sleep; it waits until the engine is awake.");
  });

  it("wakes from level 2 in three calls", async () => {
    await using rig = await startRig(dev);
    await rig.post("/sleep?level=2", "");
    expect(await rig.metric("vllm:engine_sleep_state", 'sleep_state="discard_all"')).toBe(1);
    await rig.post("/wake_up?tags=weights", "");
    expect(await (await fetch(`${rig.url}/is_sleeping`)).json()).toEqual({ is_sleeping: true });
    expect((await rig.post("/collective_rpc", { method: "reload_weights" })).status).toBe(200);
    await rig.post("/wake_up?tags=kv_cache", "");
    expect(await (await fetch(`${rig.url}/is_sleeping`)).json()).toEqual({ is_sleeping: false });
  });

  it("ends what runs, unless it is to wait for it or to keep it", async () => {
    await using rig = await startRig(dev);
    const run = (maxTokens: number) =>
      rig.post("/v1/completions", { prompt: "x", max_tokens: maxTokens, ignore_eos: true });
    const running = () => until(async () => (await rig.metric("vllm:num_requests_running")) === 1);
    const aborted = run(5000);
    await running();
    await rig.post("/sleep?mode=abort", "");
    expect(await endOf(aborted)).toBe("abort");
    await rig.post("/wake_up", "");
    const finished = run(50);
    await running();
    await rig.post("/sleep?mode=wait", "");
    expect(await endOf(finished)).toBe("length");
    await rig.post("/wake_up", "");
    const kept = run(100);
    await running();
    await rig.post("/sleep?level=0&mode=keep", "");
    expect(await rig.metric("vllm:num_requests_running")).toBe(1);
    await rig.post("/wake_up", "");
    expect(await endOf(kept)).toBe("length");
  });

  it("forgets the cache when it is told to", async () => {
    await using rig = await startRig(dev);
    const ask = async () => (await rig.post("/v1/completions", { prompt: "word ".repeat(40) })).text();
    await ask();
    expect((await rig.post("/reset_prefix_cache", "")).status).toBe(200);
    await ask();
    expect(await rig.metric("vllm:prefix_cache_hits_total")).toBe(0);
  });

  it.each(["/sleep?level=3", "/sleep?mode=nap"])("refuses %s", async (path) => {
    await using rig = await startRig(dev);
    expect((await rig.post(path, "")).status).toBe(400);
  });
});
