import OpenAI, { APIError, AuthenticationError, BadRequestError, NotFoundError, RateLimitError } from "openai";
import { describe, expect, it } from "vitest";
import { AimError } from "../../src/errors.ts";
import { until } from "../support/until.ts";
import { startRawBackend } from "./edges/raw-backend.ts";
import { apiKey, type Gateway, type GatewayOptions, MODEL, startGateway } from "./harness.ts";

const MESSAGES = [{ role: "user" as const, content: "hi" }];

async function start(options: GatewayOptions = {}, apiKey = "k"): Promise<Gateway & { client: OpenAI }> {
  const gateway = await startGateway(options);
  const client = new OpenAI({ apiKey, baseURL: new URL("/v1", gateway.url).href, maxRetries: 0, logLevel: "off" });
  return { ...gateway, client };
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

function chunk(content: string) {
  return {
    id: "c",
    object: "chat.completion.chunk",
    created: 1,
    model: MODEL,
    choices: [{ index: 0, delta: { content }, finish_reason: null }],
  };
}

describe("the OpenAI SDK", () => {
  it("gets a completion", async () => {
    const { client, backend } = await start();
    const message = { role: "assistant", content: "hello" };
    backend.respond((_, reply) =>
      reply.json(200, { id: "c", choices: [{ index: 0, message, finish_reason: "stop" }] }),
    );
    const completion = await client.chat.completions.create({ model: "chat", messages: MESSAGES });
    expect(completion.choices[0]?.message.content).toBe("hello");
    expect(completion._request_id).toMatch(/^[0-9a-f]{16}$/);
  });

  it("streams through a cold start without noticing the comments", async () => {
    const { client, backend, pool } = await start();
    pool.hold();
    backend.respond(async (_, reply) => {
      const stream = reply.sse();
      await stream.push(chunk("hel"));
      await stream.push(chunk("lo"));
      stream.done();
    });
    const pending = client.chat.completions.create({ model: MODEL, messages: MESSAGES, stream: true });
    const stream = await pending;
    pool.grant();
    let text = "";
    for await (const part of stream) text += part.choices[0]?.delta.content ?? "";
    expect(text).toBe("hello");
  });

  it("throws when the stream breaks off", async () => {
    const { client, backend } = await start();
    backend.respond(async (_, reply) => {
      const stream = reply.sse();
      await stream.push(chunk("hel"));
      stream.cut();
    });
    const stream = await client.chat.completions.create({ model: MODEL, messages: MESSAGES, stream: true });
    const parts: string[] = [];
    const read = async () => {
      for await (const part of stream) parts.push(part.choices[0]?.delta.content ?? "");
    };
    await expect(read()).rejects.toBeInstanceOf(APIError);
    expect(parts).toEqual(["hel"]);
  });

  it("is told why when the backend died within an event, wherever that was", { timeout: 60_000 }, async () => {
    const event = `data: ${JSON.stringify(chunk("hel"))}\n\n`;
    const bytes = `${event.length.toString(16)}\r\n${event}\r\n`;
    const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let length = 0;
    const dying = await startRawBackend((socket) => void socket.end(head + bytes + bytes.slice(0, length)));
    const { client } = await start({ addresses: [dying.address] });
    for (; length < bytes.length; length++) {
      const parts: unknown[] = [];
      const read = async () => {
        const stream = await client.chat.completions.create({ model: MODEL, messages: MESSAGES, stream: true });
        for await (const part of stream) parts.push(part);
      };
      await expect(read(), `after ${length} bytes`).rejects.toMatchObject({ code: "upstream_error" });
      // The event is whole before the line behind its chunk is.
      expect(parts).toHaveLength(length < bytes.length - 2 ? 1 : 2);
    }
  });

  it("throws when half an event came in a chunk of its own", async () => {
    const { client, backend } = await start();
    backend.respond(async (_, reply) => {
      const stream = reply.sse();
      await stream.write('data: {"id":"c"');
      stream.cut();
    });
    const stream = await client.chat.completions.create({ model: MODEL, messages: MESSAGES, stream: true });
    await expect(all(stream)).rejects.toThrow();
  });

  it("throws when the start fails while it waits with a stream", async () => {
    const { client, pool } = await start();
    pool.hold();
    const stream = await client.chat.completions.create({ model: MODEL, messages: MESSAGES, stream: true });
    pool.refuse(new AimError("model_start_failed", "out of GPU memory"));
    await expect(all(stream)).rejects.toMatchObject({
      code: "model_start_failed",
      message: "out of GPU memory",
    });
  });

  it("knows the classes of our errors", async () => {
    const { client, pool } = await start({ keys: [apiKey("k")] });
    const ask = (model: string, using = client) => using.chat.completions.create({ model, messages: MESSAGES });
    await expect(ask("nope")).rejects.toBeInstanceOf(NotFoundError);
    await expect(ask("nope")).rejects.toMatchObject({
      code: "model_not_found",
      param: "model",
      type: "invalid_request_error",
    });
    await expect(ask("")).rejects.toBeInstanceOf(BadRequestError);
    await expect(ask(MODEL, client.withOptions({ apiKey: "other" }))).rejects.toBeInstanceOf(AuthenticationError);
    pool.hold();
    const refused = expect(ask(MODEL)).rejects.toBeInstanceOf(RateLimitError);
    await until(() => pool.asked.length === 1);
    pool.refuse(new AimError("queue_full", "too many wait"));
    await refused;
  });

  it("comes back after the time it was told, and not where that is useless", async () => {
    const { client, pool } = await start();
    pool.hold();
    const retrying = client.withOptions({ maxRetries: 1 });
    const first = retrying.chat.completions
      .create({ model: MODEL, messages: MESSAGES })
      .catch((error: unknown) => error);
    await until(() => pool.asked.length === 1);
    pool.refuse(new AimError("model_loading", "still loading", { retryAfterMs: 20 }));
    await until(() => pool.asked.length === 2);
    pool.refuse(new AimError("model_start_failed", "broken"));
    expect(await first).toMatchObject({ status: 503, code: "model_start_failed" });
    const second = retrying.chat.completions
      .create({ model: MODEL, messages: MESSAGES })
      .catch((error: unknown) => error);
    await until(() => pool.asked.length === 3);
    pool.refuse(new AimError("model_start_failed", "broken"));
    expect(await second).toMatchObject({ code: "model_start_failed" });
    expect(pool.asked).toHaveLength(3);
  });

  it("lists models and finds one whose id has a slash", async () => {
    const { client } = await start();
    const ids = (await all(await client.models.list())).map(({ id }) => id);
    expect(ids).toEqual([MODEL, "acme/broken"]);
    expect((await client.models.retrieve(MODEL)).owned_by).toBe("aim-engine");
  });
});
