// The real SDK against the simulated engine: what its users will do with it.
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { until } from "../support/until.ts";
import { type Rig, startRig } from "./rig.ts";

let rig: Rig;
let client: OpenAI;
beforeAll(async () => {
  rig = await startRig({ flags: ["--api-key", "secret"] });
  client = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: "secret", maxRetries: 0 });
});
afterAll(() => rig.stop());

const messages = [{ role: "user" as const, content: "Hello" }];

describe("the openai SDK", () => {
  it("chats", async () => {
    const completion = await client.chat.completions.create({ model: "test-model", messages });
    expect(completion.choices[0]?.message.content).toMatch(/^This is the simulated engine/);
    expect(completion.usage?.completion_tokens).toBeGreaterThan(50);
  });

  it("streams with usage", async () => {
    const stream = await client.chat.completions.create({
      model: "test-model",
      messages,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    expect(chunks[0]?.choices[0]?.delta.role).toBe("assistant");
    expect(chunks.at(-1)?.usage?.completion_tokens).toBe(chunks.length - 2);
  });

  it("aborts a stream it breaks off", async () => {
    const stream = await client.chat.completions.create({
      model: "test-model",
      messages,
      stream: true,
      max_completion_tokens: 5000,
    });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break;
    await until(() => rig.log().includes("Aborted request chatcmpl-"));
  });

  it("completes, embeds, lists and responds", async () => {
    const text = await client.completions.create({ model: "test-model", prompt: ["a", "b"] });
    expect(text.choices).toHaveLength(2);
    const embedding = await client.embeddings.create({ model: "test-model", input: "Hello" });
    expect(embedding.data[0]?.embedding).toHaveLength(64);
    const models = await client.models.list();
    expect(models.data.map((model) => model.id)).toEqual(["test-model"]);
    const response = await client.responses.create({ model: "test-model", input: "Hello" });
    expect(response.output_text).toMatch(/^This is the simulated engine/);
  });

  it("streams a response", async () => {
    const stream = client.responses.stream({ model: "test-model", input: "Hello" });
    const final = await stream.finalResponse();
    expect(final.status).toBe("completed");
    expect(final.output_text).toMatch(/^This is the simulated engine/);
  });

  it("knows the errors by their class", async () => {
    await expect(client.chat.completions.create({ model: "other", messages })).rejects.toBeInstanceOf(
      OpenAI.NotFoundError,
    );
    await expect(client.chat.completions.create({ model: "test-model", messages: [] })).rejects.toBeInstanceOf(
      OpenAI.BadRequestError,
    );
    const stranger = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: "wrong", maxRetries: 0 });
    await expect(stranger.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
  });
});
