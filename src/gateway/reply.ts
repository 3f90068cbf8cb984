// The client's side of one answer. It begins `open` (nothing sent). Waiting turns it into a `held` event stream that
// carries comments only; the backend's answer makes it `relaying`, or `gathering` where it is short and not a stream: that is
// sent when it is whole, so that a backend that breaks off can still be reported with a status. It ends once, by itself or
// with an error.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { AimError } from "../errors.ts";
import type { Clock } from "../lib/clock.ts";
import { errorObject, renderError, renderErrorEvent } from "./error-response.ts";

/** How long to go on reading a body that was refused, so that the client gets to see the answer before the connection ends. */
const LINGER_MS = 1000;

const HELD_HEADERS = [
  "content-type",
  "text/event-stream; charset=utf-8",
  "cache-control",
  "no-cache",
  "x-accel-buffering",
  "no",
];

/** Answers up to this length are sent in one piece. */
const GATHERED_BYTES = 64 * 1024;

/** What a backend's head says of the answer that follows. */
export interface ReplyHead {
  readonly status: number;
  /** Names in lower case and values in turn. */
  readonly headers: readonly string[];
  readonly isEventStream: boolean;
  /** Its bytes are not the text of the events themselves. */
  readonly isEncoded: boolean;
  /** Bytes of its body; Infinity where they are not known yet. */
  readonly length: number;
}

export class Reply {
  readonly #incoming: IncomingMessage;
  readonly #outgoing: ServerResponse;
  readonly #clock: Clock;
  /** Names and values in turn, for the head. */
  readonly #headers: string[] = [];
  #state: "open" | "held" | "gathering" | "relaying" | "ended" = "open";
  #takesEvents = false;
  #bodyBegun = false;
  #bytes = 0;
  /** The client's connection where it is this answer's turn on it: the backend's bytes go there past ServerResponse. */
  #socket: Socket | null = null;
  #isCorked = false;
  // While gathering:
  #head: ReplyHead | undefined;
  /** One character for each byte: what Node writes together with a head, and fastest. */
  #body = "";

  constructor(incoming: IncomingMessage, outgoing: ServerResponse, clock: Clock) {
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    this.#clock = clock;
  }

  /** Whether the client has been given the head of an event stream to wait with. */
  get held(): boolean {
    return this.#state === "held";
  }

  /** Whether a byte of a backend's answer was passed on. */
  get begun(): boolean {
    return this.#bodyBegun;
  }

  /** Bytes of the backend's answer passed on. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether chunks can go on as they are framed: the client gets chunks too. */
  get takesFrames(): boolean {
    return this.#socket !== null && this.#outgoing.chunkedEncoding;
  }

  /** Sets a header of the answer, unless its head has gone out already. */
  header(name: string, value: string): void {
    if (this.#state !== "open") return;
    const headers = this.#headers;
    for (let at = 0; at < headers.length; at += 2) {
      if (headers[at] !== name) continue;
      headers[at + 1] = value;
      return;
    }
    headers.push(name, value);
  }

  /** Begins an event stream although there is no answer yet; says whether the wait is for a cold start. */
  hold(start: "cold" | "warm"): void {
    if (this.#state !== "open") return;
    if (start === "cold") this.header("x-aim-cold-start", "1");
    this.#state = "held";
    this.#takesEvents = true;
    this.#outgoing.writeHead(200, [...this.#headers, ...HELD_HEADERS]);
  }

  /** One SSE comment, where a comment can stand: in a held stream, before the backend's bytes. */
  comment(text: string): void {
    if (this.#state !== "held" || this.#bodyBegun || this.#outgoing.destroyed) return;
    this.#outgoing.write(`: ${text.replace(/[^\x20-\x7e]+/g, " ")}\n\n`);
  }

  /** Passes the backend's head on. In a held stream the head has gone out: only the body can follow. */
  start(head: ReplyHead): void {
    if (this.#state === "open" && !head.isEventStream && head.length <= GATHERED_BYTES) {
      this.#state = "gathering";
      this.#head = head;
      return;
    }
    const isHeld = this.#state === "held";
    if (!isHeld) {
      this.#state = "relaying";
      this.#takesEvents = head.isEventStream && !head.isEncoded;
      this.#writeHead(head);
    }
    // A pipelined request's turn may not have come yet. The head goes out together with what follows it in the same read.
    this.#socket = this.#outgoing.socket;
    this.#socket?.cork();
    this.#isCorked = this.#socket !== null;
    // Headers are Latin-1; `flushHeaders` would send them as UTF-8.
    if (!isHeld) this.#outgoing.write("", "latin1");
  }

  /** Whole chunks, framing and all, where `takesFrames`; `contentBytes` of them are content. */
  frames(bytes: Buffer, contentBytes: number): void {
    this.#bodyBegun = true;
    this.#bytes += contentBytes;
    if (!this.#outgoing.destroyed) this.#socket?.write(bytes);
  }

  content(bytes: Buffer): void {
    this.#bodyBegun = true;
    this.#bytes += bytes.length;
    if (this.#outgoing.destroyed) return;
    if (this.#state === "gathering") this.#body += bytes.toString("latin1");
    else if (this.#socket === null || this.#outgoing.chunkedEncoding) this.#outgoing.write(bytes);
    else this.#socket.write(bytes);
  }

  /** Sends what was passed on; see `AnswerSink`. */
  flush(): "free" | "kept" | "full" {
    if (this.#isCorked) {
      this.#isCorked = false;
      this.#socket?.uncork();
    }
    const out = this.#socket ?? this.#outgoing;
    if (out.destroyed || out.writableLength === 0) return "free";
    return out.writableNeedDrain && this.#state !== "ended" ? "full" : "kept";
  }

  onDrain(resume: () => void): void {
    (this.#socket ?? this.#outgoing).once("drain", resume);
  }

  end(): void {
    if (this.#state === "ended") return;
    if (this.#head === undefined) this.#outgoing.end();
    else {
      this.#writeHead(this.#head);
      this.#outgoing.end(this.#body, "latin1");
    }
    this.#state = "ended";
  }

  /** Ends the answer with a failure, in the one way that the client cannot take for success. */
  fail(error: AimError): void {
    const isUnsent = this.#state === "open" || this.#state === "gathering";
    if (isUnsent && !this.#outgoing.destroyed) this.#sendError(error);
    else this.endWith(errorObject(error));
    this.#state = "ended";
  }

  /** Ends an answer that has begun with an error in OpenAI's shape, or where it cannot carry one, by cutting it off. */
  endWith(error: object): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    if (this.#takesEvents && !this.#outgoing.destroyed) this.#outgoing.end(renderErrorEvent(error));
    else this.#outgoing.destroy();
  }

  #writeHead({ status, headers, isEventStream }: ReplyHead): void {
    this.#headers.push(...headers, "x-aim-source", "backend");
    if (isEventStream) this.#headers.push("cache-control", "no-cache", "x-accel-buffering", "no");
    this.#outgoing.writeHead(status, this.#headers);
  }

  #sendError(error: AimError): void {
    const { status, headers, body } = renderError(error);
    const isWhole = this.#incoming.complete;
    const length = String(Buffer.byteLength(body));
    const all = { ...headers, "content-length": length, ...(!isWhole && { connection: "close" }) };
    this.#outgoing.writeHead(status, [...this.#headers, ...Object.entries(all).flat()]);
    if (isWhole) return void this.#outgoing.end(body);
    this.#outgoing.write(body);
    this.#linger();
  }

  /** Closing at once on a client that still sends would reset the connection, and with it the answer on its way. */
  #linger(): void {
    const finish = () => {
      timer.cancel();
      this.#outgoing.end();
    };
    const timer = this.#clock.setTimer(LINGER_MS, finish);
    this.#incoming.once("close", finish).resume();
  }
}
