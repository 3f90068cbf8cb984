// /v1/responses and /v1/messages: the APIs whose streams have named events and no end mark.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { at, eventsOf, type Rig, startRig } from "./rig.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({ flags: ["--max-model-len=500"] });
});
afterAll(() => rig.stop());

async function json(path: string, body: object): Promise<unknown> {
  return (await rig.post(path, body)).json();
}

async function stream(path: string, body: object) {
  return eventsOf(await (await rig.post(path, { ...body, stream: true })).text());
}

describe("POST /v1/responses", () => {
  it("answers in one piece", async () => {
    const body = { model: "test-model", input: "Hello", instructions: "Be brief.", max_output_tokens: 3 };
    expect(await json("/v1/responses", body)).toMatchObject({
      id: expect.stringMatching(/^resp_/),
      object: "response",
      status: "incomplete",
      incomplete_details: { reason: "max_output_tokens" },
      output: [{ type: "message", role: "assistant", content: [{ type: "output_text", text: "This is the" }] }],
      usage: { output_tokens: 3, output_tokens_details: { reasoning_tokens: 0 } },
    });
    expect(await json("/v1/responses", { input: "Hello" })).toMatchObject({
      status: "completed",
      incomplete_details: null,
    });
  });

  it("streams numbered events whose name is their type, and no end mark", async () => {
    const events = await stream("/v1/responses", { input: "Hello", max_output_tokens: 2 });
    expect(events.map((event) => event.name)).toEqual([
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.incomplete",
    ]);
    expect(events.map((event) => at(event.data, "type"))).toEqual(events.map((event) => event.name));
    expect(events.map((event) => at(event.data, "sequence_number"))).toEqual([...events.keys()]);
    expect(at(events.at(-1)?.data, "response.output.0.content.0.text")).toBe("This is");
  });

  it("reads items, messages or not", async () => {
    const items = [
      { role: "user", content: [{ type: "input_text", text: "Hello" }] },
      { type: "function_call_output", call_id: "1", output: "42" },
    ];
    const body = await json("/v1/responses", { input: items });
    expect(Number(at(body, "usage.input_tokens"))).toBeGreaterThan(20);
  });

  it.each([
    [{ input: 1 }, 400],
    [{}, 400],
    [{ input: "x", max_output_tokens: 0 }, 400],
    [{ input: "x", model: "other" }, 404],
  ])("refuses %j", async (body, status) => {
    const response = await rig.post("/v1/responses", body);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { code: status } });
  });
});

describe("POST /v1/messages", () => {
  const hello = { model: "test-model", max_tokens: 2, messages: [{ role: "user", content: "Hello" }] };

  it("answers in one piece", async () => {
    expect(await json("/v1/messages", hello)).toEqual({
      id: expect.stringMatching(/^msg_/),
      type: "message",
      role: "assistant",
      model: "test-model",
      content: [{ type: "text", text: "This is" }],
      stop_reason: "max_tokens",
      stop_sequence: null,
      usage: { input_tokens: 10, output_tokens: 2 },
    });
  });

  it("streams Anthropic's events and no end mark", async () => {
    const events = await stream("/v1/messages", hello);
    expect(events.map((event) => event.name)).toEqual([
      "message_start",
      "content_block_start",
      "content_block_delta",
      "content_block_delta",
      "content_block_stop",
      "message_delta",
      "message_stop",
    ]);
    expect(at(events[0]?.data, "message.usage")).toEqual({ input_tokens: 10, output_tokens: 0 });
    expect(at(events[5]?.data, "usage")).toEqual({ input_tokens: 10, output_tokens: 2 });
  });

  it("tells a turn's end from a stop sequence", async () => {
    expect(await json("/v1/messages", { ...hello, max_tokens: 200 })).toMatchObject({
      stop_reason: "end_turn",
    });
    const stopped = { ...hello, max_tokens: 200, stop_sequences: ["engine"] };
    expect(await json("/v1/messages", stopped)).toMatchObject({
      stop_reason: "stop_sequence",
      stop_sequence: "engine",
    });
  });

  it("counts tokens, the system text among them", async () => {
    const counted = await json("/v1/messages/count_tokens", { ...hello, system: "Be brief." });
    const answered = await json("/v1/messages", { ...hello, system: "Be brief." });
    expect(counted).toEqual({ input_tokens: at(answered, "usage.input_tokens") });
    expect(Number(at(counted, "input_tokens"))).toBeGreaterThan(10);
  });

  it.each([
    [{ ...hello, max_tokens: undefined }, 400, "max_tokens: Field required"],
    [{ ...hello, messages: [] }, 400, "at least 1 item"],
    [{ ...hello, model: "other" }, 404, "does not exist"],
    [{ ...hello, stop_sequences: [""] }, 400, "stop cannot contain"],
  ])("refuses in Anthropic's words: %j", async (body, status, message) => {
    const response = await rig.post("/v1/messages", body);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({
      type: "error",
      error: { message: expect.stringContaining(message) },
    });
  });
});
