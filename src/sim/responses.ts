// POST /v1/responses, OpenAI's newer API: its reading and its named, numbered events.
import {
  type Api,
  type Call,
  type CallContext,
  type Choice,
  type Dialect,
  type Outcome,
  readSampling,
  servedName,
  type Usage,
} from "./call.ts";
import { namedEvent } from "./sse.ts";
import { renderTurns, type Turn, turnsOf } from "./template.ts";
import { encode } from "./tokens.ts";
import { badRequest, errorBody, Fields, isRecord, type WireError } from "./wire.ts";

export const responsesApi: Api = { read, refusal: errorBody };

function read(body: Fields, context: CallContext): Call {
  const model = servedName(body, context);
  const prompts = [encode(promptOf(body))];
  const id = `resp_${context.requestId}`;
  return {
    id,
    prompts,
    choicesPerPrompt: 1,
    sampling: readSampling(body, prompts, context, { limit: "max_output_tokens", stop: "stop" }),
    stream: body.enabled("stream"),
    dialect: responsesDialect({ id, model, created: context.created }),
  };
}

function promptOf(body: Fields): string {
  const instructions = body.text("instructions");
  const preamble: Turn[] = instructions === undefined ? [] : [{ role: "system", text: instructions }];
  return renderTurns([...preamble, ...inputTurns(body.get("input"))]);
}

function inputTurns(input: unknown): Turn[] {
  if (typeof input === "string") return [{ role: "user", text: input }];
  if (!Array.isArray(input) || !input.every(isRecord))
    throw badRequest("input: Input should be a valid string or list of items", "input");
  return turnsOf(
    // Items that are no message (a tool's output, say) count with their JSON.
    input.map((item) => new Fields("role" in item ? item : { role: "tool", content: JSON.stringify(item) })),
    "input",
  );
}

interface Envelope {
  readonly id: string;
  readonly model: string;
  readonly created: number;
}

function responsesDialect(envelope: Envelope): Dialect {
  let sequenceNumber = 0;
  const itemId = envelope.id.replace("resp_", "msg_");
  const place = { item_id: itemId, output_index: 0, content_index: 0 };
  const send = (type: string, data: object) => namedEvent(type, { sequence_number: sequenceNumber++, ...data });
  return {
    begin() {
      const response = responseBody(envelope, undefined);
      const item = { ...itemBody(itemId, undefined), status: "in_progress" };
      return (
        send("response.created", { response }) +
        send("response.in_progress", { response }) +
        send("response.output_item.added", { output_index: 0, item }) +
        send("response.content_part.added", { ...place, part: partBody("") })
      );
    },
    token: ({ text }) =>
      text === "" ? "" : send("response.output_text.delta", { ...place, delta: text, logprobs: [] }),
    finish(outcome) {
      const choice = outcome.choices[0];
      const text = choice?.text ?? "";
      const response = responseBody(envelope, outcome);
      return (
        send("response.output_text.done", { ...place, text, logprobs: [] }) +
        send("response.content_part.done", { ...place, part: partBody(text) }) +
        send("response.output_item.done", { output_index: 0, item: itemBody(itemId, choice) }) +
        send(isComplete(choice) ? "response.completed" : "response.incomplete", { response })
      );
    },
    failure: (error: WireError) =>
      send("error", { code: error.type, message: error.message, param: error.param ?? null }),
    body: (outcome) => responseBody(envelope, outcome),
  };
}

function isComplete(choice: Choice | undefined): boolean {
  return choice?.end === "stop";
}

/** Without an outcome it is still in progress. */
function responseBody(envelope: Envelope, outcome: Outcome | undefined): object {
  const choice = outcome?.choices[0];
  const ended = isComplete(choice) ? "completed" : "incomplete";
  return {
    id: envelope.id,
    object: "response",
    created_at: envelope.created,
    status: outcome === undefined ? "in_progress" : ended,
    error: null,
    incomplete_details: choice?.end === "length" ? { reason: "max_output_tokens" } : null,
    instructions: null,
    metadata: null,
    model: envelope.model,
    output: choice === undefined ? [] : [itemBody(envelope.id.replace("resp_", "msg_"), choice)],
    parallel_tool_calls: true,
    temperature: 1,
    tool_choice: "auto",
    tools: [],
    top_p: 1,
    usage: outcome === undefined ? null : usageBody(outcome.usage),
  };
}

function itemBody(id: string, choice: Choice | undefined): object {
  return {
    id,
    type: "message",
    role: "assistant",
    status: isComplete(choice) ? "completed" : "incomplete",
    content: choice === undefined ? [] : [partBody(choice.text)],
  };
}

function partBody(text: string): object {
  return { type: "output_text", text, annotations: [], logprobs: [] };
}

function usageBody(usage: Usage): object {
  return {
    input_tokens: usage.promptTokens,
    input_tokens_details: { cached_tokens: usage.cachedTokens },
    output_tokens: usage.completionTokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: usage.promptTokens + usage.completionTokens,
  };
}
