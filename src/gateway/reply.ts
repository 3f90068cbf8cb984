// The client's side of one answer. It begins `open` (nothing sent). Waiting turns it into a `held` event stream that
// carries comments only; the backend's answer makes it `relaying`, or `gathering` where it is short and not a stream: that is
// sent when it is whole, so that a backend that breaks off can still be reported with a status. It ends once, by itself or
// with an error.
import type { AimError } from "../errors.ts";
import type { Downstream } from "./downstream/downstream.ts";
import { errorObject, renderError, renderErrorEvent } from "./error-response.ts";

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
  readonly #downstream: Downstream;
  /** Names and values in turn, for the head. */
  readonly #headers: string[] = [];
  #state: "open" | "held" | "gathering" | "relaying" | "ended" = "open";
  #takesEvents = false;
  #bodyBegun = false;
  #bytes = 0;
  // While gathering:
  #head: ReplyHead | undefined;
  /** One character for each byte: what is fastest to write together with a head. */
  #body = "";

  constructor(downstream: Downstream) {
    this.#downstream = downstream;
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
    return this.#state !== "gathering" && this.#downstream.takesFrames;
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
    this.#downstream.begin(200, [...this.#headers, ...HELD_HEADERS]);
    this.#downstream.flush();
  }

  /** One SSE comment, where a comment can stand: in a held stream, before the backend's bytes. */
  comment(text: string): void {
    if (this.#state !== "held" || this.#bodyBegun) return;
    this.#downstream.content(`: ${text.replace(/[^\x20-\x7e]+/g, " ")}\n\n`);
  }

  /** Passes the backend's head on. In a held stream the head has gone out: only the body can follow. */
  start(head: ReplyHead): void {
    if (this.#state === "held") return;
    const { status, headers, isEventStream, isEncoded, length } = head;
    if (!isEventStream && length <= GATHERED_BYTES) {
      this.#state = "gathering";
      this.#head = head;
      return;
    }
    this.#state = "relaying";
    // One of a known length has no place for what the backend did not send.
    this.#takesEvents = isEventStream && !isEncoded && length === Infinity;
    this.#headers.push(...headers, "x-aim-source", "backend");
    if (isEventStream) this.#headers.push("cache-control", "no-cache", "x-accel-buffering", "no");
    // It goes out together with what follows it in the same read.
    this.#downstream.begin(status, this.#headers);
  }

  /** Whole chunks, framing and all, where `takesFrames`; `contentBytes` of them are content. */
  frames(bytes: Buffer, contentBytes: number): void {
    this.#bodyBegun = true;
    this.#bytes += contentBytes;
    this.#downstream.frames(bytes);
  }

  content(bytes: Buffer): void {
    this.#bodyBegun = true;
    this.#bytes += bytes.length;
    if (this.#state === "gathering") this.#body += bytes.toString("latin1");
    else this.#downstream.content(bytes);
  }

  /** Sends what was passed on; see `AnswerSink`. */
  flush(): "free" | "kept" | "full" {
    if (this.#state === "gathering") return "free";
    const taken = this.#downstream.flush();
    return taken === "full" && this.#state === "ended" ? "kept" : taken;
  }

  onDrain(resume: () => void): void {
    this.#downstream.onDrain(resume);
  }

  end(): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    if (this.#head === undefined) return this.#downstream.end();
    const { status, headers } = this.#head;
    for (let at = 0; at + 1 < headers.length; at += 2)
      if (headers[at] !== "content-length") this.#headers.push(headers[at] ?? "", headers[at + 1] ?? "");
    this.#headers.push("x-aim-source", "backend");
    this.#downstream.answer(status, this.#headers, this.#body);
  }

  /** Ends the answer with a failure, in the one way that the client cannot take for success. */
  fail(error: AimError): void {
    const isUnsent = this.#state === "open" || this.#state === "gathering";
    if (isUnsent && !this.#downstream.isGone) this.#sendError(error);
    else this.endWith(errorObject(error));
    this.#state = "ended";
  }

  /** Ends an answer that has begun with an error in OpenAI's shape, or where it cannot carry one, by cutting it off. */
  endWith(error: object): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    if (!this.#takesEvents || this.#downstream.isGone) return this.#downstream.cut();
    this.#downstream.content(renderErrorEvent(error));
    this.#downstream.end();
  }

  #sendError(error: AimError): void {
    const { status, headers, body } = renderError(error);
    const all = [...this.#headers, ...Object.entries(headers).flat()];
    this.#downstream.answer(status, all, Buffer.from(body).toString("latin1"));
  }
}
