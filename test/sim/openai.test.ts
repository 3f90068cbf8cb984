import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { at, chat, eventsOf, type Rig, startRig } from "./rig.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(() => rig.stop());

async function json(path: string, body: object): Promise<unknown> {
  return (await rig.post(path, body)).json();
}

async function stream(path: string, body: object) {
  const response = await rig.post(path, { ...body, stream: true });
  expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  return eventsOf(await response.text()).map((event) => event.data);
}

describe("POST /v1/chat/completions", () => {
  it("answers in one piece in vLLM's shape", async () => {
    expect(await json("/v1/chat/completions", chat("Hello", { max_tokens: 4 }))).toEqual({
      id: expect.stringMatching(/^chatcmpl-[0-9a-f]{16}$/),
      object: "chat.completion",
      created: expect.any(Number),
      model: "test-model",
      choices: [
        {
          index: 0,
          message: {
            role: "assistant",
            content: "This is the simula",
            refusal: null,
            tool_calls: [],
            reasoning_content: null,
          },
          logprobs: null,
          finish_reason: "length",
          stop_reason: null,
        },
      ],
      usage: { prompt_tokens: 10, completion_tokens: 4, total_tokens: 14, prompt_tokens_details: null },
    });
  });

  it("streams a role, the tokens, the end and the mark", async () => {
    const chunks = await stream("/v1/chat/completions", chat("Hello", { max_tokens: 2 }));
    const common = { object: "chat.completion.chunk", model: "test-model" };
    const choice = { index: 0, logprobs: null, finish_reason: null };
    expect(chunks).toMatchObject([
      { ...common, choices: [{ ...choice, delta: { role: "assistant", content: "" } }] },
      { ...common, choices: [{ ...choice, delta: { content: "This" } }] },
      {
        ...common,
        choices: [{ ...choice, delta: { content: " is" }, finish_reason: "length", stop_reason: null }],
      },
      "[DONE]",
    ]);
    expect(JSON.stringify(chunks)).not.toContain("usage");
  });

  it("ends a natural answer with an empty delta and stop", async () => {
    const chunks = await stream("/v1/chat/completions", chat("Hello"));
    expect(chunks.at(-2)).toMatchObject({ choices: [{ delta: { content: "" }, finish_reason: "stop" }] });
  });

  it("says the same streamed or not, for the same prompt", async () => {
    const whole = await json("/v1/chat/completions", chat("Hello again"));
    const chunks = await stream("/v1/chat/completions", chat("Hello again"));
    const text = chunks.reduce<string>((soFar, chunk) => {
      const delta = at(chunk, "choices.0.delta.content");
      return typeof delta === "string" ? soFar + delta : soFar;
    }, "");
    expect(text).toBe(at(whole, "choices.0.message.content"));
    expect(text).toMatch(/^This is the simulated engine/);
  });

  it("adds usage at the end when asked", async () => {
    const options = { max_tokens: 2, stream_options: { include_usage: true } };
    const chunks = await stream("/v1/chat/completions", chat("Hello", options));
    expect(chunks.at(-2)).toMatchObject({
      choices: [],
      usage: { prompt_tokens: 10, completion_tokens: 2, total_tokens: 12 },
    });
    expect(at(chunks.at(-3), "usage")).toBeUndefined();
  });

  it("adds usage to each chunk when asked", async () => {
    const options = { max_tokens: 2, stream_options: { include_usage: true, continuous_usage_stats: true } };
    const chunks = await stream("/v1/chat/completions", chat("Hello", options));
    const counts = chunks.map((chunk) => at(chunk, "usage.completion_tokens"));
    expect(counts).toEqual([0, 1, 2, 2, undefined]);
  });

  it("adds usage unasked where the server is told to", async () => {
    await using forced = await startRig({ flags: ["--enable-force-include-usage"] });
    const response = await forced.post("/v1/chat/completions", chat("Hello", { stream: true }));
    expect(eventsOf(await response.text()).at(-2)?.data).toMatchObject({ choices: [], usage: {} });
  });

  it("gives as many choices as asked, each with its own text", async () => {
    const body = await json("/v1/chat/completions", chat("Hello", { n: 3 }));
    const texts = [0, 1, 2].map((index) => at(body, `choices.${index}.message.content`));
    expect(new Set(texts).size).toBe(3);
    expect(at(body, "usage.prompt_tokens")).toBe(10);
    const chunks = await stream("/v1/chat/completions", chat("Hello", { n: 2, max_tokens: 1 }));
    const roles = chunks.filter((chunk) => at(chunk, "choices.0.delta.role") === "assistant");
    expect(roles.map((chunk) => at(chunk, "choices.0.index"))).toEqual([0, 1]);
  });

  it("stops before a stop string and names it", async () => {
    const body = await json("/v1/chat/completions", chat("Hello", { stop: "simulated" }));
    expect(at(body, "choices.0")).toMatchObject({
      message: { content: "This is the " },
      finish_reason: "stop",
      stop_reason: "simulated",
    });
  });

  it("takes max_completion_tokens before max_tokens, and null as nothing", async () => {
    const limits = { max_completion_tokens: 3, max_tokens: 5 };
    expect(at(await json("/v1/chat/completions", chat("x", limits)), "usage.completion_tokens")).toBe(3);
    const none = { max_completion_tokens: null, max_tokens: 5 };
    expect(at(await json("/v1/chat/completions", chat("x", none)), "usage.completion_tokens")).toBe(5);
  });

  it("generates exactly as much as a load test asks for", async () => {
    const body = await json("/v1/chat/completions", chat("x", { max_tokens: 300, ignore_eos: true }));
    expect(body).toMatchObject({
      usage: { completion_tokens: 300 },
      choices: [{ finish_reason: "length" }],
    });
  });

  it("reads parts, tool calls and tools as a part of the prompt", async () => {
    const count = async (body: object) =>
      Number(at(await json("/v1/chat/completions", { max_tokens: 1, ...body }), "usage.prompt_tokens"));
    const parts = [{ type: "text", text: "Hello" }];
    expect(await count({ messages: [{ role: "user", content: parts }] })).toBe(10);
    const image = [...parts, { type: "image_url", image_url: { url: "data:," } }];
    expect(await count({ messages: [{ role: "user", content: image }] })).toBeGreaterThan(10);
    const tools = [{ type: "function", function: { name: "f" } }];
    expect(await count({ ...chat("Hello"), tools })).toBeGreaterThan(10);
    const calls = [{ role: "assistant", content: null, tool_calls: tools }];
    expect(await count({ messages: calls })).toBeGreaterThan(10);
  });
});

describe("POST /v1/completions", () => {
  it("answers several prompts with several choices each, in order", async () => {
    const body = await json("/v1/completions", { prompt: ["a", "b"], n: 2, max_tokens: 60 });
    expect(at(body, "object")).toBe("text_completion");
    expect(at(body, "choices")).toMatchObject([0, 1, 2, 3].map((index) => ({ index, logprobs: null })));
    expect(at(body, "usage.prompt_tokens")).toBe(2);
  });

  it("takes token ids", async () => {
    expect(at(await json("/v1/completions", { prompt: [1, 2, 3] }), "usage.prompt_tokens")).toBe(3);
    expect(at(await json("/v1/completions", { prompt: [[1, 2], [3]] }), "usage.prompt_tokens")).toBe(3);
  });

  it("says sixteen tokens by default", async () => {
    expect(at(await json("/v1/completions", { prompt: "x" }), "usage.completion_tokens")).toBe(16);
  });

  it("streams texts", async () => {
    const chunks = await stream("/v1/completions", { prompt: "x", max_tokens: 2 });
    expect(chunks).toMatchObject([
      { object: "text_completion", choices: [{ index: 0, text: "This", finish_reason: null }] },
      { choices: [{ index: 0, text: " is", finish_reason: "length" }] },
      "[DONE]",
    ]);
  });

  it.each([
    ["no prompt", {}, "prompt: Input should be"],
    ["an empty list", { prompt: [] }, "prompt: Input should be"],
    ["a mixed list", { prompt: ["a", 1] }, "prompt: Input should be"],
    ["an empty prompt", { prompt: "" }, "The decoder prompt cannot be empty"],
    ["echo", { prompt: "x", echo: true }, "echo is not supported"],
    ["a bad switch", { prompt: "x", stream: "yes" }, "stream: Input should be a valid boolean"],
    ["a bad stop", { prompt: "x", stop: [1] }, "stop: Input should be a valid string or list"],
    ["a bad object", { prompt: "x", stream_options: [] }, "stream_options: Input should be"],
    ["contradicting limits", { prompt: "x", max_tokens: 2, min_tokens: 3 }, "min_tokens must be less"],
  ])("refuses %s", async (_, body, message) => {
    const response = await rig.post("/v1/completions", body);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { message: expect.stringContaining(message) } });
  });
});

describe("POST /v1/embeddings", () => {
  it("gives the same unit vector for the same text, in both encodings", async () => {
    const floats = await json("/v1/embeddings", { input: ["one", "two"], dimensions: 8 });
    const vector = at(floats, "data.0.embedding");
    if (!Array.isArray(vector)) throw new Error("no vector");
    expect(vector).toHaveLength(8);
    expect(Math.hypot(...vector)).toBeCloseTo(1, 5);
    expect(at(floats, "data.1.embedding")).not.toEqual(vector);
    expect(at(floats, "usage")).toMatchObject({ prompt_tokens: 2, total_tokens: 2 });
    const coded = await json("/v1/embeddings", { input: "one", dimensions: 8, encoding_format: "base64" });
    const bytes = Buffer.from(String(at(coded, "data.0.embedding")), "base64");
    expect(vector.map((_, index) => bytes.readFloatLE(4 * index))).toEqual(vector);
  });

  it.each([
    [{ input: [] }, 400],
    [{ input: "x", encoding_format: "hex" }, 400],
    [{ input: "x", dimensions: 0 }, 400],
    [{ input: "x", model: "other" }, 404],
  ])("refuses %j", async (body, status) => {
    expect((await rig.post("/v1/embeddings", body)).status).toBe(status);
  });
});
