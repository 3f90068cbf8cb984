// POST /v1/chat/completions and /v1/completions: how vLLM reads them and words its answers.
import {
  type Api,
  type Call,
  type CallContext,
  type Choice,
  type Dialect,
  readSampling,
  servedName,
  type TokenEvent,
  type Usage,
} from "./call.ts";
import { DONE, event } from "./sse.ts";
import { renderTurns, turnsOf } from "./template.ts";
import { encode } from "./tokens.ts";
import { badRequest, errorBody, type Fields } from "./wire.ts";

/** POST /v1/chat/completions. */
export const chatApi: Api = { read: readChat, refusal: errorBody };

/** POST /v1/completions: one prompt or many, as text or as token ids. */
export const completionsApi: Api = { read: readCompletion, refusal: errorBody };

function readChat(body: Fields, context: CallContext): Call {
  const envelope = envelopeOf(body, context, "chatcmpl");
  const messages = body.required("messages");
  if (messages.length === 0) throw badRequest("messages: List should have at least 1 item", "messages");
  const prompts = [encode(chatPrompt(body, messages))];
  const limit = body.get("max_completion_tokens") === undefined ? "max_tokens" : "max_completion_tokens";
  const choices = readChoices(body);
  return {
    id: envelope.id,
    prompts,
    choicesPerPrompt: choices,
    sampling: readSampling(body, prompts, context, { limit, stop: "stop" }),
    stream: body.enabled("stream"),
    dialect: openaiDialect(envelope, readStreamOptions(body, context), chatShape(choices)),
  };
}

function readCompletion(body: Fields, context: CallContext): Call {
  if (body.enabled("echo")) throw badRequest("echo is not supported by the simulated engine", "echo");
  const envelope = envelopeOf(body, context, "cmpl");
  const prompts = readPrompts(body.get("prompt"));
  // The API's own default of 16 tokens.
  const sampling = readSampling(body, prompts, context, { limit: "max_tokens", stop: "stop" });
  const maxTokens = body.get("max_tokens") === undefined ? Math.min(16, sampling.maxTokens) : sampling.maxTokens;
  return {
    id: envelope.id,
    prompts,
    choicesPerPrompt: readChoices(body),
    sampling: { ...sampling, maxTokens },
    stream: body.enabled("stream"),
    dialect: openaiDialect(envelope, readStreamOptions(body, context), TEXT_SHAPE),
  };
}

/** vLLM's own bound. */
const MAX_CHOICES = 16_384;

function readChoices(body: Fields): number {
  const choices = body.integer("n", 1) ?? 1;
  if (choices > MAX_CHOICES) throw badRequest(`n must be at most ${MAX_CHOICES}, got ${choices}.`, "n");
  return choices;
}

/** Prompts of /v1/completions and inputs of /v1/embeddings: text, texts, token ids, or lists of token ids. */
export function readPrompts(value: unknown, field = "prompt"): readonly (readonly number[])[] {
  if (typeof value === "string") return [encode(value)];
  if (Array.isArray(value) && value.length > 0) {
    if (value.every((item) => typeof item === "string")) return value.map(encode);
    if (isTokens(value)) return [value];
    if (value.every(isTokens)) return value;
  }
  throw badRequest(`${field}: Input should be text, a list of texts, or token ids`, field);
}

function isTokens(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((id) => Number.isInteger(id) && id >= 0);
}

/** The text of a chat request, tools first. */
export function chatPrompt(body: Fields, messages: readonly Fields[]): string {
  const tools = body.list("tools") ?? [];
  const preamble = tools.length === 0 ? "" : `<|tools|>${JSON.stringify(tools)}\n`;
  return preamble + renderTurns(turnsOf(messages, "messages"));
}

interface Envelope {
  readonly id: string;
  readonly created: number;
  readonly model: string;
  readonly promptTokensDetails: boolean;
}

function envelopeOf(body: Fields, context: CallContext, prefix: string): Envelope {
  const model = servedName(body, context);
  const { created, promptTokensDetails } = context;
  return { id: `${prefix}-${context.requestId}`, created, model, promptTokensDetails };
}

interface StreamOptions {
  readonly finalUsage: boolean;
  readonly continuousUsage: boolean;
}

function readStreamOptions(body: Fields, context: CallContext): StreamOptions {
  const options = body.object("stream_options");
  if (options !== undefined && !body.enabled("stream"))
    throw badRequest("Stream options can only be defined when `stream=True`.", "stream_options");
  const finalUsage = context.forceIncludeUsage || (options?.enabled("include_usage") ?? false);
  return { finalUsage, continuousUsage: finalUsage && (options?.enabled("continuous_usage_stats") ?? false) };
}

/** Where the two APIs differ. */
interface Shape {
  readonly object: string;
  readonly chunkObject: string;
  /** Entries of `choices` to send before any token. */
  openings(): readonly object[];
  chunk(token: TokenEvent): object;
  choice(choice: Choice, index: number): object;
}

function chatShape(choices: number): Shape {
  return {
    object: "chat.completion",
    chunkObject: "chat.completion.chunk",
    openings: () =>
      Array.from({ length: choices }, (_, index) => ({
        index,
        delta: { role: "assistant", content: "" },
        logprobs: null,
        finish_reason: null,
      })),
    chunk: ({ choice, text, end, stopReason }) => ({
      index: choice,
      delta: { content: text },
      logprobs: null,
      finish_reason: end ?? null,
      ...(end === undefined ? {} : { stop_reason: stopReason ?? null }),
    }),
    choice: ({ text, end, stopReason }, index) => ({
      index,
      message: { role: "assistant", content: text, refusal: null, tool_calls: [], reasoning_content: null },
      logprobs: null,
      finish_reason: end,
      stop_reason: stopReason ?? null,
    }),
  };
}

const TEXT_SHAPE: Shape = {
  object: "text_completion",
  chunkObject: "text_completion",
  openings: () => [],
  chunk: ({ choice, text, end, stopReason }) => ({
    index: choice,
    text,
    logprobs: null,
    finish_reason: end ?? null,
    stop_reason: stopReason ?? null,
  }),
  choice: ({ text, end, stopReason }, index) => ({
    index,
    text,
    logprobs: null,
    finish_reason: end,
    stop_reason: stopReason ?? null,
    prompt_logprobs: null,
  }),
};

function openaiDialect(envelope: Envelope, options: StreamOptions, shape: Shape): Dialect {
  const { id, created, model } = envelope;
  const usageOf = (usage: Usage) => usageBody(usage, envelope.promptTokensDetails);
  const chunk = (choices: readonly object[], usage: Usage | undefined) =>
    event({
      id,
      object: shape.chunkObject,
      created,
      model,
      choices,
      ...(usage === undefined ? {} : { usage: usageOf(usage) }),
    });
  const running = (usage: Usage) => (options.continuousUsage ? usage : undefined);
  return {
    begin: (usage) =>
      shape
        .openings()
        .map((opening) => chunk([opening], running(usage)))
        .join(""),
    token: (token) => chunk([shape.chunk(token)], running(token.usage)),
    finish: ({ usage }) => (options.finalUsage ? chunk([], usage) : "") + DONE,
    failure: (error) => event(errorBody(error)) + DONE,
    body: ({ choices, usage }) => ({
      id,
      object: shape.object,
      created,
      model,
      choices: choices.map((choice, index) => shape.choice(choice, index)),
      usage: usageOf(usage),
    }),
  };
}

/** OpenAI's `usage`. */
function usageBody(usage: Usage, details: boolean): object {
  return {
    prompt_tokens: usage.promptTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    completion_tokens: usage.completionTokens,
    prompt_tokens_details: details ? { cached_tokens: usage.cachedTokens } : null,
  };
}
