// Small things of HTTP that every route of the simulated server needs.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { RequestFaults } from "./faults.ts";
import { badRequest, Fields } from "./wire.ts";

/** One request on its way to an answer. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  /** The client's X-Request-Id where it sent one. */
  readonly requestId: string;
  readonly faults: RequestFaults;
}

export function sendJson(response: ServerResponse, status: number, body: object): void {
  send(response, status, "application/json", JSON.stringify(body));
}

/** Answers in one piece; does nothing when the client is gone. */
export function send(response: ServerResponse, status: number, contentType: string, text: string): void {
  if (response.destroyed) return;
  response.writeHead(status, headersFor(contentType, text)).end(text);
}

export function headersFor(contentType: string, text: string): Record<string, string | number> {
  return { "content-type": contentType, "content-length": Buffer.byteLength(text) };
}

/** An empty body with a status, as /health and /sleep answer. */
export function sendEmpty(response: ServerResponse, status: number): void {
  if (response.destroyed) return;
  response.writeHead(status, { "content-length": 0 }).end();
}

/** Aborts when the answer is over, because the client left before all. */
export function overSignal(response: ServerResponse): AbortSignal {
  const over = new AbortController();
  response.once("close", () => over.abort(new Error("the client is gone")));
  return over.signal;
}

/** The JSON object a client posted; anything else is vLLM's 400. */
export async function readFields({ request }: Exchange): Promise<Fields> {
  const mediaType = (request.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase();
  const body = await readBody(request);
  if (mediaType !== "application/json") throw badRequest("Unsupported Media Type: Only 'application/json' is allowed");
  return Fields.parse(body);
}

/** Rejects when the client leaves before it sent all. */
export async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}
