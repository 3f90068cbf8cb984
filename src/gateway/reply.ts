// The client's side of one answer. It begins `open` (nothing sent). Waiting turns it into a `held` event stream that
// carries comments only; the backend's answer makes it `relaying`; it ends once, by itself or with an error.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AimError } from "../errors.ts";
import type { Clock } from "../lib/clock.ts";
import { errorObject, renderError, renderErrorEvent } from "./error-response.ts";

/** How long to go on reading a body that was refused, so that the client gets to see the answer before the connection ends. */
const LINGER_MS = 1000;

export class Reply {
  readonly #incoming: IncomingMessage;
  readonly #outgoing: ServerResponse;
  readonly #clock: Clock;
  #state: "open" | "held" | "relaying" | "ended" = "open";
  #takesEvents = false;
  #bodyBegun = false;
  #bytes = 0;

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

  /** Adds a header to the answer, unless its head has gone out already. */
  header(name: string, value: string): void {
    if (!this.#outgoing.headersSent) this.#outgoing.setHeader(name, value);
  }

  /** Begins an event stream although there is no answer yet; says whether the wait is for a cold start. */
  hold(start: "cold" | "warm"): void {
    if (this.#state !== "open") return;
    this.#state = "held";
    this.#takesEvents = true;
    this.#outgoing.writeHead(200, {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache",
      "x-accel-buffering": "no",
      ...(start === "cold" && { "x-aim-cold-start": "1" }),
    });
  }

  /** One SSE comment, where a comment can stand: in a held stream, before the backend's bytes. */
  comment(text: string): void {
    if (this.#state !== "held" || this.#bodyBegun || this.#outgoing.destroyed) return;
    this.#outgoing.write(`: ${text.replace(/[^\x20-\x7e]+/g, " ")}\n\n`);
  }

  /** Passes the backend's head on. In a held stream the head has gone out: only the body can follow. */
  start(status: number, headers: Record<string, string | string[]>): void {
    if (this.#state === "held") return;
    this.#state = "relaying";
    const isStream = isEventStream(headers);
    this.#takesEvents = isStream && headers["content-encoding"] === undefined;
    this.#outgoing.writeHead(status, {
      ...headers,
      "x-aim-source": "backend",
      ...(isStream && { "cache-control": "no-cache", "x-accel-buffering": "no" }),
    });
    if (isStream) this.#outgoing.flushHeaders();
  }

  /** False when the client reads slower than the backend writes: wait for `onDrain`. */
  write(chunk: Buffer): boolean {
    this.#bodyBegun = true;
    this.#bytes += chunk.length;
    return this.#outgoing.destroyed || this.#outgoing.write(chunk);
  }

  onDrain(resume: () => void): void {
    this.#outgoing.once("drain", resume);
  }

  end(): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#outgoing.end();
  }

  /** Ends the answer with a failure, in the one way that the client cannot take for success. */
  fail(error: AimError): void {
    if (this.#state === "open" && !this.#outgoing.destroyed) this.#sendError(error);
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

  #sendError(error: AimError): void {
    const { status, headers, body } = renderError(error);
    const head = { ...headers, "content-length": String(Buffer.byteLength(body)) };
    if (this.#incoming.complete) {
      this.#outgoing.writeHead(status, head).end(body);
      return;
    }
    this.#outgoing.writeHead(status, { ...head, connection: "close" }).write(body);
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

/** Whether these headers announce server-sent events. */
export function isEventStream(headers: Readonly<Record<string, string | string[] | undefined>>): boolean {
  return String(headers["content-type"] ?? "")
    .toLowerCase()
    .startsWith("text/event-stream");
}
