// A request for a model that the door has read: its body as it comes, and its answer, written to the connection as it is.
import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { valueOf } from "../header-line.ts";
import { clientGone, tooLarge } from "./client-faults.ts";
import type { Downstream } from "./downstream.ts";
import type { PlainHead } from "./plain-head.ts";

/** The connection that a request came on. */
export interface Carrier {
  readonly socket: Socket;
  /** Whether it takes no further request. */
  readonly isClosing: boolean;
  /** The value of a Date header. */
  readonly date: string;
  /** Says for how long the connection is kept. */
  readonly keepAliveLines: string;
  /** The answer is over; where it `closes`, so is the connection. */
  onAnswered(closes: boolean): void;
}

/** Somebody who waits for the body. */
interface Reader {
  readonly resolve: (body: Buffer) => void;
  readonly reject: (reason: Error) => void;
}

export class PlainRequest implements Downstream {
  readonly #carrier: Carrier;
  readonly #head: PlainHead;
  /** What came with the head, and from `readBody` on room for all of it. */
  #body: Buffer;
  #received: number;
  #reader: Reader | undefined;
  #onGone: (() => void) | undefined;
  #onDrain: (() => void) | undefined;
  #isOver = false;
  #isCorked = false;
  #isChunked = false;
  /** Bytes of an answer of known length that are still to come. */
  #bytesLeft = 0;
  #closes = false;

  /** `body`: as much of it as came together with the head. */
  constructor(carrier: Carrier, head: PlainHead, body: Buffer) {
    this.#carrier = carrier;
    this.#head = head;
    this.#body = body;
    this.#received = body.length;
  }

  get rawHeaders(): readonly string[] {
    return this.#head.headers;
  }

  get isWhole(): boolean {
    return this.#received === this.#head.length;
  }

  /** Whether its answer was said to the end, or nobody waits for that any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  get isGone(): boolean {
    return this.#isOver || this.#carrier.socket.destroyed;
  }

  get takesFrames(): boolean {
    return this.#isChunked;
  }

  header(name: string): string | undefined {
    return valueOf(this.#head.headers, name);
  }

  readBody(maxBytes: number): Promise<Buffer> {
    const { length } = this.#head;
    if (length > maxBytes) return Promise.reject(tooLarge(maxBytes));
    if (this.isWhole) return Promise.resolve(this.#body);
    const first = this.#body;
    if (first.length < this.#received) throw new Error("the body was asked for too late");
    this.#body = Buffer.allocUnsafeSlow(length);
    this.#body.set(first);
    return new Promise((resolve, reject) => (this.#reader = { resolve, reject }));
  }

  /** More of the body came; returns what lies behind its end. */
  receive(bytes: Buffer): Buffer {
    const taken = Math.min(bytes.length, this.#head.length - this.#received);
    // Where nobody waits for it, it is on its way into a request that was refused.
    if (this.#reader !== undefined) bytes.copy(this.#body, this.#received, 0, taken);
    this.#received += taken;
    if (this.isWhole) this.#reader?.resolve(this.#body);
    return bytes.subarray(taken);
  }

  /** The connection is no more. */
  gone(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#reader?.reject(clientGone());
    this.#onGone?.();
  }

  drained(): void {
    const resume = this.#onDrain;
    this.#onDrain = undefined;
    resume?.();
  }

  onGone(listener: (() => void) | undefined): void {
    this.#onGone = listener;
  }

  onDrain(resume: () => void): void {
    this.#onDrain = resume;
  }

  begin(status: number, headers: readonly string[]): void {
    if (this.isGone) return;
    const length = valueOf(headers, "content-length");
    const hasBody = status !== 204 && status !== 304;
    this.#isChunked = hasBody && length === undefined;
    this.#bytesLeft = hasBody ? Number(length ?? 0) : 0;
    const { socket } = this.#carrier;
    socket.cork();
    this.#isCorked = true;
    socket.write(this.#render(status, headers, this.#isChunked ? "transfer-encoding: chunked\r\n" : ""), "latin1");
  }

  content(content: Buffer | string): void {
    // A chunk without content would end the answer.
    if (this.isGone || content.length === 0) return;
    const { socket } = this.#carrier;
    const length = typeof content === "string" ? Buffer.byteLength(content) : content.length;
    if (!this.#isChunked) {
      this.#bytesLeft -= length;
      socket.write(content);
    } else if (typeof content === "string") socket.write(`${length.toString(16)}\r\n${content}\r\n`);
    else {
      socket.cork();
      socket.write(`${length.toString(16)}\r\n`, "latin1");
      socket.write(content);
      socket.write("\r\n", "latin1");
      socket.uncork();
    }
  }

  frames(bytes: Buffer): void {
    if (!this.isGone) this.#carrier.socket.write(bytes);
  }

  flush(): "free" | "kept" | "full" {
    const { socket } = this.#carrier;
    if (this.#isCorked) {
      this.#isCorked = false;
      socket.uncork();
    }
    if (socket.destroyed || socket.writableLength === 0) return "free";
    return socket.writableNeedDrain ? "full" : "kept";
  }

  end(): void {
    if (this.isGone) return;
    if (this.#isChunked) this.#carrier.socket.write("0\r\n\r\n", "latin1");
    else if (this.#bytesLeft !== 0) return this.cut();
    this.flush();
    this.#finish();
  }

  answer(status: number, headers: readonly string[], body: string): void {
    if (this.isGone) return;
    const length = status === 204 ? "" : `content-length: ${body.length}\r\n`;
    this.#carrier.socket.write(this.#render(status, headers, length) + body, "latin1");
    this.#finish();
  }

  cut(): void {
    if (!this.#isOver) this.#carrier.socket.destroy();
  }

  #finish(): void {
    this.#isOver = true;
    this.#carrier.onAnswered(this.#closes);
  }

  /** A head; `framing` says how the body ends. */
  #render(status: number, headers: readonly string[], framing: string): string {
    const { isClosing, date, keepAliveLines } = this.#carrier;
    this.#closes = isClosing || !this.isWhole || !this.#head.keepsAlive || valueOf(headers, "connection") === "close";
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "-"}\r\n`;
    for (let at = 0; at + 1 < headers.length; at += 2)
      if (headers[at] !== "connection") head += `${headers[at]}: ${headers[at + 1]}\r\n`;
    return `${head}${this.#closes ? CLOSE : keepAliveLines}date: ${date}\r\n${framing}\r\n`;
  }
}

const CLOSE = "connection: close\r\n";
