// A client's connection while all that comes on it is plain: one request after the other, each answered before the next is read.
import type { Socket } from "node:net";
import type { Clock, Timer } from "../../lib/clock.ts";
import { LINGER_MS, type Downstream } from "./downstream.ts";
import { readPlainHead } from "./plain-head.ts";
import { type Carrier, PlainRequest } from "./plain-request.ts";

/** What connections share. */
export interface ConnectionHost {
  readonly clock: Clock;
  readonly targets: ReadonlySet<string>;
  readonly isClosing: boolean;
  readonly date: string;
  readonly keepAliveLines: string;
  serve(target: string, request: Downstream): void;
  /** Node's parser goes on with it; what was read and not understood comes first. */
  handOver(socket: Socket, unread: Buffer): void;
  /** It is closed, or was handed over. */
  forget(connection: PlainConnection): void;
}

export interface ConnectionLimits {
  /** From the first byte on, or from the beginning of the connection. */
  readonly headMs: number;
  /** From its beginning to its end, and as long for what its client has yet to read of the answer. */
  readonly requestMs: number;
  readonly idleMs: number;
}

/** Heads beyond it are Node's business: it knows what to answer. */
const MOST_HEAD_BYTES = 16 * 1024;
/** What a client may send behind a request that is not answered yet. */
const MOST_AHEAD_BYTES = 64 * 1024;

export class PlainConnection implements Carrier {
  readonly socket: Socket;
  /** Its place among all. */
  place = -1;
  readonly #host: ConnectionHost;
  #request: PlainRequest | undefined;
  /** Read already, behind the request under way. */
  #ahead: Buffer | undefined;
  /** When its request began, or the last one was answered, or the client had caught up with reading. */
  #since: number;
  #hasServed = false;
  #linger: Timer | undefined;

  constructor(socket: Socket, host: ConnectionHost) {
    this.socket = socket;
    this.#host = host;
    this.#since = host.clock.now();
    socket.on("data", this.#onData).on("end", this.#onEnd).on("error", ignore).on("drain", this.#onDrain);
    socket.on("close", this.#onClose);
  }

  get isClosing(): boolean {
    return this.#host.isClosing;
  }

  get date(): string {
    return this.#host.date;
  }

  get keepAliveLines(): string {
    return this.#host.keepAliveLines;
  }

  /** Ends it unless a request is under way: not before all of the last answer is out. */
  closeIdle(): void {
    if (this.#request === undefined) this.socket.destroySoon();
  }

  /** Ends it where its client takes longer than it may: to begin, to send what it has announced, to read, or to ask again. */
  checkTime(now: number, { headMs, requestMs, idleMs }: ConnectionLimits): void {
    const passed = now - this.#since;
    if (this.#request === undefined || this.#request.isOver) {
      const limit = this.socket.writableLength > 0 ? requestMs : this.#hasServed ? idleMs : headMs;
      if (passed > limit) this.socket.destroy();
    } else if (!this.#request.isWhole && passed > requestMs) {
      this.socket.end("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n");
      this.socket.destroySoon();
    }
  }

  onAnswered(closes: boolean): void {
    this.#hasServed = true;
    this.#since = this.#host.clock.now();
    // A stream may have begun before we were closing.
    if (!closes && !this.#host.isClosing) {
      this.#request = undefined;
      if (this.#ahead !== undefined && !this.socket.writableNeedDrain) setImmediate(() => this.#next());
    } else if (this.#request?.isWhole === false) {
      this.#linger = this.#host.clock.setTimer(LINGER_MS, () => this.socket.destroySoon());
    } else this.socket.destroySoon();
  }

  readonly #onData = (bytes: Buffer) => {
    // It ends: what comes now would get no answer.
    if (!this.socket.writable) return;
    const request = this.#request;
    // A client that asks without reading waits until it has read; see `#onDrain`.
    const mayBegin = request === undefined && this.#ahead === undefined && !this.socket.writableNeedDrain;
    if (mayBegin) return this.#begin(bytes);
    const rest = request === undefined || request.isWhole ? bytes : request.receive(bytes);
    if (this.#linger !== undefined) {
      if (request?.isWhole === true) this.socket.destroySoon();
    } else if (rest.length > 0) this.#keep(rest);
  };

  /** A client that sends no more is gone: it would not be told apart from one that reads no more. */
  readonly #onEnd = () => {
    if (this.#request === undefined || this.#request.isOver) this.socket.destroySoon();
    else this.socket.destroy();
  };

  readonly #onDrain = () => {
    if (this.#request !== undefined) return this.#request.drained();
    this.#since = this.#host.clock.now();
    this.#next();
  };

  readonly #onClose = () => {
    this.#linger?.cancel();
    this.#host.forget(this);
    this.#request?.gone();
  };

  #begin(bytes: Buffer): void {
    const headEnd = bytes.subarray(0, MOST_HEAD_BYTES).indexOf("\r\n\r\n", 0, "latin1");
    const head = headEnd === -1 ? undefined : readPlainHead(bytes.toString("latin1", 0, headEnd), this.#host.targets);
    if (head === undefined) return this.#handOver(bytes);
    const bodyStart = headEnd + 4;
    const bodyEnd = Math.min(bytes.length, bodyStart + head.length);
    const request = new PlainRequest(this, head, bytes.subarray(bodyStart, bodyEnd));
    this.#request = request;
    this.#since = this.#host.clock.now();
    if (bodyEnd < bytes.length) this.#keep(bytes.subarray(bodyEnd));
    this.#host.serve(head.target, request);
  }

  /** The next request, which came while the one before was under way. */
  #next(): void {
    const bytes = this.#ahead;
    if (bytes === undefined || this.#request !== undefined || !this.socket.writable) return;
    this.#ahead = undefined;
    this.socket.resume();
    this.#begin(bytes);
  }

  #keep(bytes: Buffer): void {
    this.#ahead = this.#ahead === undefined ? bytes : Buffer.concat([this.#ahead, bytes]);
    if (this.#ahead.length > MOST_AHEAD_BYTES) this.socket.pause();
  }

  #handOver(bytes: Buffer): void {
    const { socket } = this;
    socket.off("data", this.#onData).off("end", this.#onEnd).off("error", ignore).off("drain", this.#onDrain);
    socket.off("close", this.#onClose);
    this.#host.forget(this);
    this.#host.handOver(socket, bytes);
  }
}

/** What follows an error is the end of the connection, which is heard of anyway. */
function ignore(): void {}
