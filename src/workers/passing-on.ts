// What a worker does not serve itself goes to the main thread over a socket of its own, with the headers as they came but for
// those of the connection: keys and hosts are checked there. Bodies are framed anew, since connections to the main thread are
// shared: one client's body must not be read as another one's request. Bodies and answers are streamed; who leaves is gone there, too.
import { Agent, request as ask, type IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { internalError, renderError } from "../gateway/error-response.ts";
import type { ServedApp } from "../gateway/server.ts";
import type { Logger } from "../telemetry/logger.ts";

/** They are about the connection alone, and this is another one. */
const OF_CONNECTION = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
  "expect",
]);
const BODYLESS = [204, 205, 304];

export function passOn(socketPath: string, logger: Logger): ServedApp["fetch"] {
  const agent = new Agent({ keepAlive: true });
  return async (request, { incoming }) => {
    try {
      const answer = await send(request, incoming, { agent, socketPath });
      return responseOf(answer);
    } catch (error) {
      if (!request.signal.aborted) logger.error({ err: error, path: incoming.url }, "a request could not be passed on");
      const { status, headers, body } = renderError(internalError(error));
      return new Response(body, { status, headers });
    }
  };
}

type Incoming = Parameters<ServedApp["fetch"]>[1]["incoming"];

function send(
  { body, signal }: Request,
  { method, url, headers, rawHeaders }: Incoming,
  way: { readonly agent: Agent; readonly socketPath: string },
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const framing = body === null ? [] : framingOf(headers);
    const passed = [...withoutConnection(rawHeaders, "content-length"), ...framing];
    const outgoing = ask({ ...way, method, path: url, headers: passed, setHost: false, signal }, resolve);
    outgoing.on("error", reject);
    if (body === null || framing.length === 0) outgoing.end();
    // A body that breaks off is a client that left, and what it asked for is called off.
    else
      Readable.fromWeb(body)
        .on("error", (error) => outgoing.destroy(error))
        .pipe(outgoing);
  });
}

/** How the end of a body is known there: as it was known here, where Node has held the client to it. Empty: there is none. */
function framingOf(headers: Incoming["headers"]): readonly string[] {
  if (headers["transfer-encoding"] !== undefined) return ["transfer-encoding", "chunked"];
  const length = headers["content-length"];
  return length === undefined ? [] : ["content-length", length];
}

function responseOf(answer: IncomingMessage): Response {
  const { statusCode: status = 500, rawHeaders } = answer;
  const headers = new Headers();
  const kept = withoutConnection(rawHeaders);
  for (let at = 0; at + 1 < kept.length; at += 2) headers.append(kept[at] ?? "", kept[at + 1] ?? "");
  if (BODYLESS.includes(status)) {
    answer.resume();
    return new Response(null, { status, headers });
  }
  // Node's web streams are the global ones under another type.
  return new Response(Readable.toWeb(answer) as ReadableStream<Uint8Array>, { status, headers });
}

function withoutConnection(rawHeaders: readonly string[], ...more: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? "";
    const lowerName = name.toLowerCase();
    if (!OF_CONNECTION.has(lowerName) && !more.includes(lowerName)) kept.push(name, rawHeaders[at + 1] ?? "");
  }
  return kept;
}
