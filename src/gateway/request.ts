// Admission: what a request must be before it may cost anything. The body is kept as the bytes that came.
import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { AimError } from "../errors.ts";
import { readBody } from "./body.ts";
import { requestHeaders } from "./headers.ts";
import { type Hints, readHints, readKeepAlive, readMaxWait } from "./hints.ts";
import type { Client } from "./keys.ts";
import { MAX_DEPTH, type Member, scanMembers, type Span } from "./scan.ts";

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
}

export interface Admission {
  readonly maxBodyBytes: number;
  /** Whose request it is, where keys say so. */
  readonly client: Client | undefined;
}

/** Reads and checks the request; rejects with an `AimError` that says what to change. */
export async function readRequest(incoming: IncomingMessage, admission: Admission): Promise<InferenceRequest> {
  requirePlainJson(incoming);
  const request = parseBody(await readBody(incoming, admission.maxBodyBytes));
  const { headers, rawHeaders } = incoming;
  return {
    ...request,
    headers: requestHeaders(rawHeaders, { connection: headers.connection, stream: request.stream }),
    hints: readHints(headers, { client: admission.client, keepAliveMs: request.keepAliveMs }),
    maxWaitMs: readMaxWait(headers),
  };
}

/** The checks of the body alone. */
export function parseBody(body: Buffer): RequestBody {
  requireUtf8(body);
  const scan = scanMembers(body, ["model", "stream", "keep_alive"]);
  if (scan.kind === "members") return readMembers(body, scan.members);
  if (scan.kind === "duplicate") {
    const message = `the request body has "${scan.key}" more than once`;
    throw new AimError("duplicate_key", message, { param: scan.key });
  }
  const what = scan.kind === "too_deep" ? `not nest deeper than ${MAX_DEPTH} levels` : "be a JSON object";
  throw new AimError("invalid_json", `the request body must ${what}`);
}

function readMembers(body: Buffer, members: ReadonlyMap<string, Member>): RequestBody {
  requireJson(body);
  const modelSpan = members.get("model");
  const model = valueOf(body, modelSpan);
  const stream = valueOf(body, members.get("stream"));
  // Printable ASCII only: the name goes into headers, logs and messages.
  if (modelSpan === undefined || typeof model !== "string" || !/^[\x20-\x7e]{1,256}$/.test(model)) {
    throw new AimError("invalid_value", '"model" must be a string of 1 to 256 printable ASCII characters', {
      param: "model",
    });
  }
  // null means absent, as it does to OpenAI's API.
  if (stream !== undefined && stream !== null && typeof stream !== "boolean") {
    throw new AimError("invalid_value", '"stream" must be true or false', { param: "stream" });
  }
  const keepAlive = members.get("keep_alive");
  const keepAliveMs = readKeepAlive(valueOf(body, keepAlive), "keep_alive");
  return { body, model, modelSpan, stream: stream === true, keepAliveMs, keepAliveSpan: keepAlive?.whole };
}

function valueOf(body: Buffer, span: Span | undefined): unknown {
  return span === undefined ? undefined : JSON.parse(body.toString("utf8", span.start, span.end));
}

function requirePlainJson(incoming: IncomingMessage): void {
  const encoding = incoming.headers["content-encoding"]?.toLowerCase();
  if (encoding !== undefined && encoding !== "identity") {
    throw new AimError("unsupported_encoding", "send the request body without content-encoding");
  }
  // Not only tidiness: a web page cannot send this content type to another site without asking first.
  const type = incoming.headers["content-type"]?.toLowerCase() ?? "";
  if (!/^application\/json *(; *charset="?utf-8"? *)?$/.test(type)) {
    throw new AimError("unsupported_media_type", 'send JSON, with the header "content-type: application/json"');
  }
}

function requireUtf8(body: Buffer): void {
  if (!isUtf8(body)) throw new AimError("invalid_json", "the request body is not valid UTF-8");
  if (body.length >= 3 && body.readUIntBE(0, 3) === 0xefbbbf) {
    throw new AimError("invalid_json", "the request body must not begin with a byte order mark");
  }
}

function requireJson(body: Buffer): void {
  try {
    JSON.parse(body.toString("utf8"));
  } catch (error) {
    // The parser's own message quotes the body, and prompts belong in no message or log.
    const position = /position (\d+)/.exec(String(error))?.[1];
    const where = position === undefined ? "" : `, at character ${position}`;
    // oxlint-disable-next-line preserve-caught-error -- its message holds a piece of the prompt
    throw new AimError("invalid_json", `the request body is not valid JSON${where}`);
  }
}
