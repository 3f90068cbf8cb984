// How a fake backend answers one request: well, badly, slowly or not at all.
import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";

/** One answer. A handler that calls nothing leaves the client waiting. */
export class FakeReply {
  readonly #response: ServerResponse;
  readonly ended: Promise<"finished" | "aborted">;

  constructor(response: ServerResponse) {
    this.#response = response;
    this.ended = new Promise((resolve) => {
      response.on("close", () => resolve(response.writableFinished ? "finished" : "aborted"));
    });
  }

  json(status: number, value: unknown, headers: OutgoingHttpHeaders = {}): void {
    this.body(status, JSON.stringify(value), { "content-type": "application/json", ...headers });
  }

  /** A whole answer with its length, unless the headers say otherwise. */
  body(status: number, body: string | Uint8Array, headers: OutgoingHttpHeaders = {}): void {
    this.#response.writeHead(status, { "content-length": Buffer.byteLength(body), ...headers });
    this.#response.end(body);
  }

  /** Gzipped, and said to be. */
  gzip(status: number, text: string, headers: OutgoingHttpHeaders = {}): void {
    this.body(status, gzipSync(text), { "content-encoding": "gzip", ...headers });
  }

  redirect(location: string, status = 302): void {
    this.body(status, "", { location });
  }

  /** An interim answer (102, 103) before the real one. */
  informational(status: number, headers: Readonly<Record<string, string>> = {}): void {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    this.raw(`HTTP/1.1 ${status} Interim\r\n${lines.join("")}\r\n`);
  }

  /** Opens an answer of chunks that the test pushes one by one. */
  stream(status: number, headers: OutgoingHttpHeaders = {}): FakeStream {
    this.#response.writeHead(status, headers);
    this.#response.flushHeaders();
    return new FakeStream(this.#response);
  }

  /** A 200 event stream. */
  sse(headers: OutgoingHttpHeaders = {}): FakeStream {
    return this.stream(200, { "content-type": "text/event-stream; charset=utf-8", ...headers });
  }

  /** Writes to the socket beneath HTTP: malformed heads, garbage, half an answer. */
  raw(bytes: string | Uint8Array): void {
    this.#response.socket?.write(bytes);
  }

  /** Sends what was written, then closes the connection (FIN), finished or not. */
  cut(): void {
    this.#response.socket?.destroySoon();
  }

  /** Resets the connection (RST). */
  reset(): void {
    this.#response.socket?.resetAndDestroy();
  }

  /** Closes the sending side alone and goes on listening. */
  halfClose(): void {
    this.#response.socket?.end();
  }
}

/** An answer under way. */
export class FakeStream {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  /** Bytes the client has not taken yet, as far as this side can tell. */
  get bufferedBytes(): number {
    return this.#response.writableLength;
  }

  /** Writes the bytes as one chunk; resolves when there is room for more: true, or the connection is gone: false. */
  write(bytes: string | Uint8Array): Promise<boolean> {
    const response = this.#response;
    if (response.destroyed) return Promise.resolve(false);
    if (response.write(bytes)) return Promise.resolve(true);
    return new Promise((resolve) => {
      const done = () => {
        response.off("drain", done).off("close", done);
        resolve(!response.destroyed);
      };
      response.on("drain", done).on("close", done);
    });
  }

  /** Writes one SSE event; anything but a string is sent as JSON. */
  push(data: unknown): Promise<boolean> {
    return this.write(`data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`);
  }

  /** Ends well; trailers need a `trailer` header and no content-length. */
  end(trailers: Readonly<Record<string, string>> = {}): void {
    this.#response.addTrailers(trailers);
    this.#response.end();
  }

  /** Ends as OpenAI's streams do. */
  done(): void {
    void this.push("[DONE]");
    this.end();
  }

  /** Sends what was written, then closes the connection (FIN) without the last chunk. */
  cut(): void {
    this.#response.socket?.destroySoon();
  }

  /** Resets the connection (RST); what is still buffered is lost. */
  reset(): void {
    this.#response.socket?.resetAndDestroy();
  }
}
