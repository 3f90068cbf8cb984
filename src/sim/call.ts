// A generation, whatever API it came by: what to generate, and the dialect in which to answer.
import type { EndReason } from "./engine.ts";
import { badRequest, type Fields, WireError } from "./wire.ts";

export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens: number;
}

/** One token on its way out. */
export interface TokenEvent {
  readonly choice: number;
  readonly text: string;
  /** On the last one of its choice. */
  readonly end: EndReason | undefined;
  readonly stopReason: string | undefined;
  /** So far. */
  readonly usage: Usage;
}

export interface Choice {
  readonly text: string;
  readonly end: EndReason;
  readonly stopReason: string | undefined;
}

export interface Outcome {
  readonly choices: readonly Choice[];
  readonly usage: Usage;
}

/** How an API words an answer. The stream methods return the bytes of zero or more events. */
export interface Dialect {
  /** Sent with the first token: vLLM has nothing to say sooner. */
  begin(usage: Usage): string;
  token(token: TokenEvent): string;
  finish(outcome: Outcome): string;
  /** A failure after the stream began. */
  failure(error: WireError): string;
  /** The answer of a request that does not stream. */
  body(outcome: Outcome): object;
}

export interface Sampling {
  readonly maxTokens: number;
  readonly minTokens: number;
  readonly ignoreEos: boolean;
  readonly stop: readonly string[];
  readonly seed: number;
}

export interface Call {
  readonly id: string;
  readonly prompts: readonly (readonly number[])[];
  readonly choicesPerPrompt: number;
  readonly sampling: Sampling;
  readonly stream: boolean;
  readonly dialect: Dialect;
}

/** One generating endpoint. */
export interface Api {
  read(body: Fields, context: CallContext): Call;
  /** The body of an answer that is an error. */
  refusal(error: WireError): object;
}

/** What reading a request needs to know of the server. */
export interface CallContext {
  readonly names: readonly string[];
  readonly maxModelLength: number;
  readonly promptTokensDetails: boolean;
  readonly forceIncludeUsage: boolean;
  /** Seconds since the Unix epoch. */
  readonly created: number;
  /** Unique; the client's X-Request-Id where it sent one. */
  readonly requestId: string;
}

/** Refuses a request for a model that is not served here, and tells the name under which to answer. */
export function servedName(body: Fields, context: CallContext): string {
  const asked = body.text("model");
  if (asked !== undefined && !context.names.includes(asked))
    throw new WireError(404, "NotFoundError", `The model \`${asked}\` does not exist.`, "model");
  return context.names[0] ?? "";
}

/** Reads how to generate; `fields` are the API's names for the most tokens and for the stop strings. */
export function readSampling(
  body: Fields,
  prompts: readonly (readonly number[])[],
  context: CallContext,
  fields: { readonly limit: string; readonly stop: string },
): Sampling {
  const longest = Math.max(...prompts.map((prompt) => prompt.length));
  const room = roomAfter(longest, context.maxModelLength);
  const asked = body.integer(fields.limit, 1);
  if (asked !== undefined && asked > room)
    throw badRequest(
      `'max_tokens' or 'max_completion_tokens' is too large: ${asked}. This model's maximum context length is ${context.maxModelLength} tokens and your request has ${longest} input tokens (${asked} > ${context.maxModelLength} - ${longest}).`,
      fields.limit,
    );
  const maxTokens = asked ?? room;
  const minTokens = body.integer("min_tokens", 0) ?? 0;
  if (minTokens > maxTokens)
    throw badRequest(`min_tokens must be less than or equal to max_tokens=${maxTokens}, got ${minTokens}.`);
  const stop = body.texts(fields.stop);
  if (stop.includes("")) throw badRequest("stop cannot contain an empty string.", fields.stop);
  const seed = body.integer("seed", -Infinity) ?? 0;
  return { maxTokens, minTokens, ignoreEos: body.enabled("ignore_eos"), stop, seed };
}

/** How many tokens fit behind a prompt; refuses one that leaves no room for any. */
export function roomAfter(promptTokens: number, maxModelLength: number): number {
  if (promptTokens === 0) throw badRequest("The decoder prompt cannot be empty");
  if (promptTokens < maxModelLength) return maxModelLength - promptTokens;
  throw badRequest(
    `This model's maximum context length is ${maxModelLength} tokens. However, your request has ${promptTokens} input tokens. Please reduce the length of the input messages.`,
  );
}
