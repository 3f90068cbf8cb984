// A scripted HTTP backend on a real socket: it records what it receives and answers as badly as the test wants.
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server } from "node:http";
import type { Socket } from "node:net";
import { FakeReply } from "./fake-reply.ts";

export type { FakeReply, FakeStream } from "./fake-reply.ts";

/** One request as it came over the wire. */
export interface FakeRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Names and values in turn, as sent: duplicates and case are kept. */
  readonly rawHeaders: readonly string[];
  /** The bytes of the body received so far; whole when the handler runs (unless `early`). */
  readonly body: Buffer;
  /** 1 for the first connection that was accepted. */
  readonly connection: number;
  /** Whether the client went away before it had the whole answer. */
  readonly aborted: boolean;
  /** Settles when the answer is out or either side has cut the connection. */
  readonly ended: Promise<"finished" | "aborted">;
}

export type FakeHandler = (request: FakeRequest, reply: FakeReply) => void | Promise<void>;

export interface FakeBackendOptions {
  readonly handler?: FakeHandler;
  /** Calls the handler as soon as the head has come, before the body. */
  readonly early?: boolean;
  /** Closes a keep-alive connection that has been idle for so long, without having announced it. */
  readonly idleCloseMs?: number;
  /** Such a close is deaf: what is on its way to it is answered with a reset, as by a program that has closed its socket. */
  readonly idleCloseIsDeaf?: boolean;
  /** A given port, to come back at the address of an earlier one. */
  readonly port?: number;
}

export interface FakeBackend {
  readonly address: URL;
  /** In the order of their heads. */
  readonly requests: readonly FakeRequest[];
  /** Connections accepted so far. */
  readonly connections: number;
  readonly openConnections: number;
  /** What the HTTP parser complained about; empty for a well-behaved client. */
  readonly parseErrors: readonly string[];
  /** The oldest request that was not handed out by this method yet; waits for it. */
  nextRequest(): Promise<FakeRequest>;
  /** Answers all requests from now on. */
  respond(handler: FakeHandler): void;
  /** Answers one request; queued handlers go first. */
  respondOnce(handler: FakeHandler): void;
  /** Closes the idle connections now, as a server does whose keep-alive has run out. */
  closeIdle(): void;
  /** Stops listening and cuts every connection. Idempotent; throws what a handler threw. */
  close(): Promise<void>;
}

/** Listens on a free loopback port and answers `{"ok":true}` until told otherwise. */
export async function startFakeBackend(options: FakeBackendOptions = {}): Promise<FakeBackend> {
  const backend = new Backend(options);
  await backend.listen(options.port ?? 0);
  return backend;
}

class Backend implements FakeBackend {
  readonly requests: Recorded[] = [];
  readonly parseErrors: string[] = [];
  connections = 0;
  readonly #options: FakeBackendOptions;
  readonly #server: Server;
  readonly #sockets = new Map<Socket, { readonly number: number; idle?: NodeJS.Timeout }>();
  readonly #once: FakeHandler[] = [];
  readonly #waiting: ((request: FakeRequest) => void)[] = [];
  readonly #faults: unknown[] = [];
  #handler: FakeHandler;
  #handedOut = 0;
  #port = 0;

  constructor(options: FakeBackendOptions) {
    this.#options = options;
    this.#handler = options.handler ?? ((_request, reply) => reply.json(200, { ok: true }));
    // A keep-alive timeout of 0 means none, and then none is announced to the client either.
    this.#server = createServer({ keepAliveTimeout: 0, requestTimeout: 0 });
    this.#server.on("connection", (socket) => this.#onConnection(socket));
    this.#server.on("request", (message, response) => {
      const request = this.#record(message);
      const reply = new FakeReply(response);
      reply.ended.then((how) => this.#onEnded(message.socket, request, how)).catch(this.#onFault);
      message.on("data", (chunk: Buffer) => request.chunks.push(chunk));
      message.on("error", () => {}); // a cut upload: `ended` tells it
      if (this.#options.early === true) this.#answer(request, reply);
      else message.on("end", () => this.#answer(request, reply));
    });
    this.#server.on("clientError", (error, socket) => {
      if (!("code" in error && error.code === "ECONNRESET")) this.parseErrors.push(error.message);
      socket.destroy();
    });
  }

  /** Stays what it was after `close`, so that a test can dial a dead backend. */
  get address(): URL {
    return new URL(`http://127.0.0.1:${this.#port}`);
  }

  get openConnections(): number {
    return this.#sockets.size;
  }

  async listen(port: number): Promise<void> {
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
    const address = this.#server.address();
    if (address !== null && typeof address !== "string") this.#port = address.port;
  }

  respond(handler: FakeHandler): void {
    this.#handler = handler;
  }

  respondOnce(handler: FakeHandler): void {
    this.#once.push(handler);
  }

  nextRequest(): Promise<FakeRequest> {
    const request = this.requests[this.#handedOut++];
    if (request !== undefined) return Promise.resolve(request);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  closeIdle(): void {
    this.#server.closeIdleConnections();
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets.keys()) socket.destroy();
    await closed;
    if (this.#faults.length > 0) throw new AggregateError(this.#faults.splice(0), "a fake handler failed");
  }

  #onConnection(socket: Socket): void {
    this.connections += 1;
    this.#sockets.set(socket, { number: this.connections });
    socket.on("error", () => {}); // resets are part of the game
    socket.on("close", () => {
      clearTimeout(this.#sockets.get(socket)?.idle);
      this.#sockets.delete(socket);
    });
  }

  #record(message: IncomingMessage): Recorded {
    const connection = this.#sockets.get(message.socket);
    clearTimeout(connection?.idle);
    const request = new Recorded(message, connection?.number ?? 0);
    this.requests.push(request);
    const waiting = this.#waiting.shift();
    waiting?.(request);
    return request;
  }

  #answer(request: Recorded, reply: FakeReply): void {
    const handler = this.#once.shift() ?? this.#handler;
    Promise.resolve()
      .then(() => handler(request, reply))
      .catch(this.#onFault);
  }

  readonly #onFault = (error: unknown): void => {
    this.#faults.push(error);
  };

  #onEnded(socket: Socket, request: Recorded, how: "finished" | "aborted"): void {
    request.end(how);
    const connection = this.#sockets.get(socket);
    if (connection === undefined || this.#options.idleCloseMs === undefined) return;
    const close = () => (this.#options.idleCloseIsDeaf === true ? socket.destroy() : socket.end());
    connection.idle = setTimeout(close, this.#options.idleCloseMs);
  }
}

class Recorded implements FakeRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly connection: number;
  readonly chunks: Buffer[] = [];
  readonly ended: Promise<"finished" | "aborted">;
  readonly end: (how: "finished" | "aborted") => void;
  #aborted = false;

  constructor(message: IncomingMessage, connection: number) {
    this.method = message.method ?? "";
    this.path = message.url ?? "";
    this.headers = message.headers;
    this.rawHeaders = message.rawHeaders;
    this.connection = connection;
    const { promise, resolve } = Promise.withResolvers<"finished" | "aborted">();
    this.ended = promise;
    this.end = (how) => {
      this.#aborted = how === "aborted";
      resolve(how);
    };
  }

  get body(): Buffer {
    return Buffer.concat(this.chunks);
  }

  get aborted(): boolean {
    return this.#aborted;
  }
}
