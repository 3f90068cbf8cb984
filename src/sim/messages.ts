// POST /v1/messages, Anthropic's API: its reading and its named events.
import { type Api, type Call, type CallContext, type Dialect, readSampling, servedName, type Usage } from "./call.ts";
import type { EndReason } from "./engine.ts";
import { namedEvent } from "./sse.ts";
import { contentText, renderTurns, type Turn, turnsOf } from "./template.ts";
import { encode } from "./tokens.ts";
import { badRequest, type Fields, type WireError } from "./wire.ts";

export const messagesApi: Api = { read, refusal };

function read(body: Fields, context: CallContext): Call {
  const model = servedName(body, context);
  const prompts = [encode(promptOfMessages(body))];
  if (body.get("max_tokens") === undefined) throw badRequest("max_tokens: Field required", "max_tokens");
  const id = `msg_${context.requestId}`;
  return {
    id,
    prompts,
    choicesPerPrompt: 1,
    sampling: readSampling(body, prompts, context, { limit: "max_tokens", stop: "stop_sequences" }),
    stream: body.enabled("stream"),
    dialect: messagesDialect(id, model),
  };
}

/** The system text and the turns as one prompt. */
export function promptOfMessages(body: Fields): string {
  const messages = body.required("messages");
  if (messages.length === 0) throw badRequest("messages: List should have at least 1 item", "messages");
  const system = contentText(body.get("system"));
  const preamble: Turn[] = system === "" ? [] : [{ role: "system", text: system }];
  return renderTurns([...preamble, ...turnsOf(messages, "messages")]);
}

function refusal(error: WireError): object {
  return { type: "error", error: { type: error.type, message: error.message } };
}

function messagesDialect(id: string, model: string): Dialect {
  const message = { id, type: "message", role: "assistant", model };
  return {
    begin: (usage) =>
      namedEvent("message_start", {
        message: { ...message, content: [], stop_reason: null, stop_sequence: null, usage: usageBody(usage) },
      }) + namedEvent("content_block_start", { index: 0, content_block: { type: "text", text: "" } }),
    token: ({ text }) =>
      text === "" ? "" : namedEvent("content_block_delta", { index: 0, delta: { type: "text_delta", text } }),
    finish: ({ choices, usage }) =>
      namedEvent("content_block_stop", { index: 0 }) +
      namedEvent("message_delta", { delta: endOf(choices[0]), usage: usageBody(usage) }) +
      namedEvent("message_stop", {}),
    failure: (error) => namedEvent("error", refusal(error)),
    body: ({ choices, usage }) => ({
      ...message,
      content: [{ type: "text", text: choices[0]?.text ?? "" }],
      ...endOf(choices[0]),
      usage: usageBody(usage),
    }),
  };
}

function endOf(choice: { readonly end: EndReason; readonly stopReason: string | undefined } | undefined): object {
  const stopped = choice?.stopReason;
  if (stopped !== undefined) return { stop_reason: "stop_sequence", stop_sequence: stopped };
  return { stop_reason: choice?.end === "length" ? "max_tokens" : "end_turn", stop_sequence: null };
}

function usageBody(usage: Usage): object {
  return { input_tokens: usage.promptTokens, output_tokens: usage.completionTokens };
}
