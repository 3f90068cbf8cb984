// A request that Node's HTTP server has read: all that the door leaves to it.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "../../lib/clock.ts";
import { LINGER_MS, type Downstream } from "./downstream.ts";
import { readBody } from "./node-body.ts";

export class NodeDownstream implements Downstream {
  readonly #incoming: IncomingMessage;
  readonly #outgoing: ServerResponse;
  readonly #clock: Clock;
  /** The client's connection where it is this answer's turn on it: bytes go there past ServerResponse. */
  #socket: Socket | null = null;
  #isCorked = false;
  #unwatch: (() => void) | undefined;

  constructor(incoming: IncomingMessage, outgoing: ServerResponse, clock: Clock) {
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    this.#clock = clock;
  }

  get rawHeaders(): readonly string[] {
    return this.#incoming.rawHeaders;
  }

  get isWhole(): boolean {
    return this.#incoming.complete;
  }

  get isGone(): boolean {
    return this.#outgoing.destroyed;
  }

  get takesFrames(): boolean {
    return this.#socket !== null && this.#outgoing.chunkedEncoding;
  }

  header(name: string): string | undefined {
    const value = this.#incoming.headers[name];
    return typeof value === "string" ? value : undefined;
  }

  readBody(maxBytes: number): Promise<Buffer> {
    return readBody(this.#incoming, maxBytes);
  }

  onGone(listener: (() => void) | undefined): void {
    this.#unwatch?.();
    this.#unwatch = listener && watchClient(this.#incoming, this.#outgoing, listener);
  }

  begin(status: number, headers: readonly string[]): void {
    this.#outgoing.writeHead(status, [...headers]);
    // A pipelined request's turn may not have come yet.
    this.#socket = this.#outgoing.socket;
    this.#socket?.cork();
    this.#isCorked = this.#socket !== null;
    // Headers are Latin-1; `flushHeaders` would send them as UTF-8.
    this.#outgoing.write("", "latin1");
  }

  content(content: Buffer | string): void {
    if (this.isGone) return;
    if (this.#socket === null || this.#outgoing.chunkedEncoding) this.#outgoing.write(content);
    else this.#socket.write(content);
  }

  frames(bytes: Buffer): void {
    if (!this.isGone) this.#socket?.write(bytes);
  }

  flush(): "free" | "kept" | "full" {
    if (this.#isCorked) {
      this.#isCorked = false;
      this.#socket?.uncork();
    }
    const out = this.#socket ?? this.#outgoing;
    if (out.destroyed || out.writableLength === 0) return "free";
    return out.writableNeedDrain ? "full" : "kept";
  }

  onDrain(resume: () => void): void {
    (this.#socket ?? this.#outgoing).once("drain", resume);
  }

  end(): void {
    this.#outgoing.end();
  }

  answer(status: number, headers: readonly string[], body: string): void {
    const hasBody = status !== 204;
    const closes = !this.isWhole;
    const length = hasBody ? ["content-length", String(body.length)] : [];
    this.#outgoing.writeHead(status, [...headers, ...length, ...(closes ? ["connection", "close"] : [])]);
    if (!closes) return void this.#outgoing.end(body, "latin1");
    this.#outgoing.write(body, "latin1");
    this.#linger();
  }

  cut(): void {
    this.#outgoing.destroy();
  }

  #linger(): void {
    const finish = () => {
      timer.cancel();
      this.#outgoing.end();
    };
    const timer = this.#clock.setTimer(LINGER_MS, finish);
    this.#incoming.once("close", finish).resume();
  }
}

/** Calls back when the client leaves before its answer is finished; returns how to stop watching. */
function watchClient(incoming: IncomingMessage, outgoing: ServerResponse, onGone: () => void): () => void {
  const onClose = () => {
    if (!outgoing.writableFinished) onGone();
  };
  // Writing to a client that has just left is an error event, and without a listener it would end the process.
  outgoing.on("error", onGone);
  outgoing.once("close", onClose);
  if (outgoing.socket !== null) return () => outgoing.off("close", onClose);
  // A pipelined request has no connection of its own yet, and is not told when the shared one closes.
  const { socket } = incoming;
  socket.setMaxListeners(socket.getMaxListeners() + 1).once("close", onClose);
  return () => {
    outgoing.off("close", onClose);
    socket.off("close", onClose).setMaxListeners(socket.getMaxListeners() - 1);
  };
}
