// The product as a newcomer meets it: the real gateway, the real sim engine as a local process, the real openai SDK.
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { GatewayHome, type Gateway } from "../support/gateway-process.ts";
import { until } from "../support/until.ts";

const RECIPE = `
model: demo
aliases: [the-demo]
engine: sim
runtime: process
env: { AIM_SIM_LOAD_SECONDS: "1" }
profiles: { 0_gpu: {} }
keepAlive: 3s
`;
const BROKEN = `
model: broken
engine: sim
runtime: process
env: { AIM_SIM_LOAD_SECONDS: "30", AIM_SIM_CRASH_BEFORE_READY: "0.5" }
profiles: { 0_gpu: {} }
`;
const NEEDS_GPUS = `
model: big
engine: sim
runtime: process
profiles: { 8_gpu: {} }
`;

describe("a gateway with local processes", { timeout: 60_000 }, () => {
  let home: GatewayHome;
  let gateway: Gateway;
  let openai: OpenAI;

  beforeAll(async () => {
    home = await GatewayHome.make({ recipes: { demo: RECIPE, broken: BROKEN, big: NEEDS_GPUS } });
    gateway = await home.start();
    openai = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "unused" });
  });
  afterAll(async () => {
    expect(await gateway.stop()).toBe(0);
    await home.remove();
  });

  async function stopDemo(): Promise<void> {
    await fetch(`${gateway.url}/api/replicas/demo`, { method: "DELETE" });
  }

  async function untilCold(): Promise<void> {
    const isCold = async () => (await gateway.replicas()).every((replica) => replica.model !== "demo");
    await until(isCold, { timeoutMs: 20_000, what: "demo's unloading" });
  }

  it("says what it can serve, and what not and why", async () => {
    await until(() => gateway.lines.find((line) => line["msg"] === "cannot serve"), { what: "the announcement" });
    expect(gateway.lines).toContainEqual(expect.objectContaining({ msg: "can serve", models: ["broken", "demo"] }));
    expect(gateway.lines).toContainEqual(
      expect.objectContaining({ msg: "cannot serve", models: ["big"], why: expect.stringContaining("8") }),
    );
    expect(gateway.noise).toEqual([]);
  });

  it("lists every model, whatever runs", async () => {
    const models = [];
    for await (const model of openai.models.list()) models.push(model.id);
    expect(models.sort()).toEqual(["big", "broken", "demo"]);
    expect((await openai.models.retrieve("demo")).id).toBe("demo");
  });

  it("answers a cold streamed chat with comments, tokens and [DONE], and nothing that the model did not say", async () => {
    await stopDemo();
    const response = await gateway.chat({ model: "demo", stream: true, max_tokens: 12 });
    expect(response.headers.get("x-aim-cold-start")).toBe("1");
    const text = await response.text();
    const lines = text.split("\n").filter((line) => line !== "");
    expect(lines[0]).toMatch(/^: /);
    expect(lines.at(-1)).toBe("data: [DONE]");
    const unknown = lines.filter((line) => !line.startsWith(": ") && !line.startsWith("data: "));
    expect(unknown).toEqual([]);
  });

  it("serves the openai SDK, streamed and not, cold and warm, with the same words", async () => {
    await stopDemo();
    const messages = [{ role: "user" as const, content: "Tell me about gateways." }];
    let streamed = "";
    for await (const chunk of await openai.chat.completions.create({ model: "demo", messages, stream: true })) {
      streamed += chunk.choices[0]?.delta.content ?? "";
    }
    const warm = await openai.chat.completions.create({ model: "demo", messages });
    expect(warm.choices[0]?.message.content).toBe(streamed);
    await stopDemo();
    const cold = await openai.chat.completions.create({ model: "the-demo", messages });
    expect(cold.choices[0]?.message.content).toBe(streamed);
    const completion = await openai.completions.create({ model: "demo", prompt: "Once", max_tokens: 5 });
    expect(completion.usage?.completion_tokens).toBe(5);
    let pieces = 0;
    for await (const _ of await openai.completions.create({
      model: "demo",
      prompt: "Once",
      max_tokens: 5,
      stream: true,
    }))
      pieces++;
    expect(pieces).toBeGreaterThan(2);
  });

  it("forwards embeddings and responses too", async () => {
    const response = await openai.responses.create({ model: "demo", input: "Hello", max_output_tokens: 5 });
    expect(response.output_text).not.toBe("");
    const embedding = await openai.embeddings.create({ model: "demo", input: "Hello" });
    expect(embedding.data[0]?.embedding.length).toBeGreaterThan(0);
  });

  it("answers at once, with the cause, when the engine dies while loading", async () => {
    const startedAt = performance.now();
    const error = await openai.chat.completions
      .create({ model: "broken", messages: [{ role: "user", content: "hi" }] })
      .catch((error: unknown) => error);
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    expect(error).toMatchObject({ status: 503, code: "model_start_failed" });
    const lastLines = expect.arrayContaining([expect.stringMatching(/./)]);
    expect(await gateway.models()).toContainEqual(
      expect.objectContaining({ model: "broken", status: "failed", lastLines }),
    );
    await until(async () => (await gateway.replicas()).every((replica) => replica.model !== "broken"), {
      what: "clean-up",
    });
    expect(await (await fetch(`${gateway.url}/api/replicas/broken/logs`)).text()).toMatch(/"text":"/);
  });

  it("refuses a model that does not fit this machine, in words", async () => {
    const response = await gateway.chat({ model: "big" });
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({
      error: { code: "model_unavailable", message: expect.stringContaining("8") },
    });
  });

  it.each([
    { stream: true, phase: "while it loads" },
    { stream: false, phase: "while it loads" },
    { stream: true, phase: "in the middle of its answer" },
    { stream: false, phase: "before the first byte of its answer" },
  ])("frees the slot of a client that leaves $phase (stream: $stream)", async ({ stream, phase }) => {
    if (phase === "while it loads") await stopDemo();
    else await (await gateway.chat({ model: "demo", max_tokens: 1 })).text();
    const leaving = new AbortController();
    const request = gateway.chat({ model: "demo", stream, max_tokens: 5_000 }, { signal: leaving.signal });
    // Reads, so that a stream is under way; an abort ends it.
    const reading = request.then((response) => response.text()).catch(() => "left");
    const isThere = async () => {
      const [model] = (await gateway.models()).filter((one) => one.model === "demo");
      return phase === "while it loads" ? (model?.waiting ?? 0) > 0 : (model?.inFlight ?? 0) > 0;
    };
    await until(isThere, { what: "the request" });
    leaving.abort();
    expect(await reading).toBe("left");
    const isFree = async () => {
      const [model] = (await gateway.models()).filter((one) => one.model === "demo");
      return model?.inFlight === 0 && model.waiting === 0;
    };
    await until(isFree, { timeoutMs: 1_000, what: "a free slot" });
    if (phase === "while it loads") return;
    const [replica] = await gateway.replicas();
    const running = async () =>
      /num_requests_running\{[^}]*\} 0/.test(await (await fetch(`${replica?.address}metrics`)).text());
    await until(running, { timeoutMs: 1_000, what: "the engine's abort" });
  });

  it("takes a model down after its keep-alive", async () => {
    await (await gateway.chat({ model: "demo", max_tokens: 1 })).text();
    const [replica] = (await gateway.replicas()).filter((one) => one.model === "demo");
    expect(replica).toMatchObject({ state: "ready", idleUntil: expect.any(String) });
    await untilCold();
    await expect(fetch(`${replica?.address}health`)).rejects.toThrow();
  });
});
