// POST /v1/embeddings: unit vectors that depend on the text alone, as floats or in the base64 that SDKs ask for.
import { roomAfter, servedName } from "./call.ts";
import type { Core } from "./core.ts";
import { contextOf } from "./generate-route.ts";
import { type Exchange, readFields, sendJson } from "./http.ts";
import { readPrompts } from "./openai.ts";
import { badRequest, type Fields } from "./wire.ts";

const DIMENSIONS = 64;

export async function embeddings(exchange: Exchange, core: Core): Promise<void> {
  const { response, requestId } = exchange;
  const body = await readFields(exchange);
  const context = contextOf(exchange, core);
  const model = servedName(body, context);
  const inputs = readPrompts(body.get("input"), "input");
  for (const input of inputs) roomAfter(input.length, context.maxModelLength);
  const encoding = readEncoding(body);
  const dimensions = body.integer("dimensions", 1) ?? DIMENSIONS;
  if (!(await prefill(exchange, core, inputs))) return;
  const tokens = inputs.reduce((total, input) => total + input.length, 0);
  sendJson(response, 200, {
    id: `embd-${requestId}`,
    object: "list",
    created: context.created,
    model,
    data: inputs.map((input, index) => ({
      index,
      object: "embedding",
      embedding: encode(vectorOf(input, dimensions), encoding),
    })),
    usage: { prompt_tokens: tokens, total_tokens: tokens, completion_tokens: 0, prompt_tokens_details: null },
  });
}

/** Takes each input through the engine; false when the client left meanwhile. */
async function prefill(
  { response, requestId, faults }: Exchange,
  core: Core,
  inputs: readonly (readonly number[])[],
): Promise<boolean> {
  const ends = inputs.map((prompt) => {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const ticket = core.engine.submit({
      prompt,
      output: [],
      end: "stop",
      stallAfter: faults.stallAfter,
      onToken() {},
      onEnd: (reason) => resolve(reason !== "abort"),
    });
    response.once("close", () => ticket.abort());
    return promise;
  });
  const completed = (await Promise.all(ends)).every(Boolean);
  if (!completed) core.log.info("APIServer", `Aborted request embd-${requestId}.`);
  return completed;
}

type Encoding = "float" | "base64";

function readEncoding(body: Fields): Encoding {
  const format = body.text("encoding_format") ?? "float";
  if (format === "float" || format === "base64") return format;
  throw badRequest("encoding_format: Input should be 'float' or 'base64'", "encoding_format");
}

/** A direction drawn from the tokens, of length 1. */
function vectorOf(tokens: readonly number[], dimensions: number): Float32Array {
  const vector = new Float32Array(dimensions);
  for (const token of tokens) {
    for (let index = 0; index < dimensions; index++) {
      const mixed = Math.imul(token ^ Math.imul(index + 1, 0x9e3779b1), 0x85ebca6b);
      vector[index] = (vector[index] ?? 0) + mixed / 2 ** 31;
    }
  }
  const length = Math.hypot(...vector) || 1;
  return vector.map((value) => value / length);
}

function encode(vector: Float32Array, encoding: Encoding): string | number[] {
  return encoding === "base64" ? Buffer.from(vector.buffer).toString("base64") : [...vector];
}
