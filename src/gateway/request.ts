// Admission: what a request must be before it may cost anything. The body is kept as the bytes that came.
import { AimError } from "../errors.ts";
import type { Downstream } from "./downstream/downstream.ts";
import { requestHeaders } from "./headers.ts";
import { type Hints, readHints, readKeepAlive, readMaxWait } from "./hints.ts";
import type { Client } from "./keys.ts";
import type { Prompt } from "./pool.ts";
import { type Member, type Members, scanMembers, type Span } from "./scan.ts";

/** 256 characters, each of them written as \uXXXX, and the quotes. */
const LONGEST_VALUE = 256 * 6 + 2;
/** Stands for a value of no type that any member may have. */
const TOO_LONG = Symbol("too long");

export interface InferenceRequest extends RequestBody {
  /** What the backend gets to see of the client's headers. */
  readonly headers: readonly string[];
  readonly hints: Hints;
  /** How long it would wait for a replica, in ms. */
  readonly maxWaitMs: number;
}

export interface RequestBody {
  readonly body: Buffer;
  /** The name the client used. */
  readonly model: string;
  /** Where the value of `model`, quotes included, lies in the body. */
  readonly modelSpan: Span;
  readonly stream: boolean;
  /** What `keep_alive` asks for, in ms. */
  readonly keepAliveMs: number | undefined;
  /** The bytes that are meant for the gateway alone; undefined where there are none. */
  readonly keepAliveSpan: Span | undefined;
  readonly prompt: Prompt;
}

export interface Admission {
  readonly maxBodyBytes: number;
  /** Whose request it is, where keys say so. */
  readonly client: Client | undefined;
}

/** Reads and checks the request; rejects with an `AimError` that says what to change. */
export async function readRequest(downstream: Downstream, admission: Admission): Promise<InferenceRequest> {
  requirePlainJson(downstream);
  const request = parseBody(await downstream.readBody(admission.maxBodyBytes));
  return {
    ...request,
    headers: requestHeaders(downstream.rawHeaders, {
      connection: downstream.header("connection"),
      stream: request.stream,
    }),
    hints: readHints(downstream, { client: admission.client, keepAliveMs: request.keepAliveMs }),
    maxWaitMs: readMaxWait(downstream),
  };
}

/** The checks of the body alone. */
export function parseBody(body: Buffer): RequestBody {
  const members = scanMembers(body);
  const { model: modelSpan, stream, keep_alive: keepAlive } = members;
  const model = valueOf(body, modelSpan);
  // Printable ASCII only: the name goes into headers, logs and messages.
  if (modelSpan === undefined || typeof model !== "string" || !/^[\x20-\x7e]{1,256}$/.test(model)) {
    throw new AimError("invalid_value", '"model" must be a string of 1 to 256 printable ASCII characters', {
      param: "model",
    });
  }
  return {
    body,
    model,
    modelSpan,
    stream: readStream(valueOf(body, stream)),
    keepAliveMs: readKeepAlive(valueOf(body, keepAlive), "keep_alive"),
    keepAliveSpan: keepAlive?.whole,
    prompt: { body, spans: promptSpans(members) },
  };
}

/** null means absent, as it does to OpenAI's API. */
function readStream(value: unknown): boolean {
  if (value === undefined || value === null || typeof value === "boolean") return value === true;
  throw new AimError("invalid_value", '"stream" must be true or false', { param: "stream" });
}

function promptSpans({ tools, messages, prompt, input }: Members): readonly Span[] {
  const text = messages ?? prompt ?? input;
  return [tools, text].filter((span) => span !== undefined);
}

/** What is longer than any value that can be meant is not read, so that nobody has us build large ones. */
function valueOf(body: Buffer, span: Member | undefined): unknown {
  if (span === undefined) return undefined;
  return span.end - span.start > LONGEST_VALUE ? TOO_LONG : JSON.parse(body.toString("utf8", span.start, span.end));
}

function requirePlainJson(downstream: Downstream): void {
  const encoding = downstream.header("content-encoding")?.toLowerCase();
  if (encoding !== undefined && encoding !== "identity") {
    throw new AimError("unsupported_encoding", "send the request body without content-encoding");
  }
  // Not only tidiness: a web page cannot send this content type to another site without asking first.
  const type = downstream.header("content-type") ?? "";
  if (type !== "application/json" && !/^application\/json *(; *charset="?utf-8"? *)?$/i.test(type)) {
    throw new AimError("unsupported_media_type", 'send JSON, with the header "content-type: application/json"');
  }
}
