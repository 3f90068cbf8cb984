// One connection to a backend: requests go out one after the other, each answer is followed to its last byte, and after any
// surprise it is not used again.
import { connect, type Socket } from "node:net";
import type { Clock } from "../../lib/clock.ts";
import { type BodyReader, type BodySink, readerOf } from "./body.ts";
import { type AnswerHead, BadAnswer, checkBeginning, MAX_HEAD_BYTES, parseHead } from "./head.ts";

/** Who gets the answer to one request. After `onEnd`, `onFailure` or an abort nothing is called but the `afterRead` of that read. */
export interface AnswerSink extends BodySink {
  /** There is a connection, and the request goes out. */
  onSent(): void;
  onHead(head: AnswerHead): void;
  onEnd(): void;
  onFailure(failure: CallFailure): void;
  /**
   * Asked after each read: `kept` where bytes that were handed over are still in use, so that their memory cannot be read into
   * again; `full` where moreover nothing should follow until `resume`.
   */
  afterRead(): "free" | "kept" | "full";
}

export interface CallFailure {
  /** How far it came: no connection; no byte of an answer; no proper answer; within the answer's body. */
  readonly kind: "unreachable" | "unanswered" | "bad_answer" | "broken";
  readonly error: Error;
  /** The connection had served before, so that its idle end may have met the request on its way. */
  readonly reused: boolean;
}

export interface ConnectionOptions {
  readonly clock: Clock;
  readonly connectTimeoutMs: number;
  /** How long it may be idle; less than the backend allows, so that it is we who close. */
  readonly idleMs: number;
  /** Called when it can serve the next request. */
  readonly onIdle: (connection: Connection) => void;
  /** Called once when it is gone. */
  readonly onClose: (connection: Connection) => void;
}

/** Fits the usual event or small answer; a read that fills it is followed by larger ones. */
const SMALL_BYTES = 4 * 1024;
const LARGE_BYTES = 64 * 1024;
/** Less than this behind bytes in use is not worth a read. */
const MIN_BYTES = 1024;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #socket: Socket;
  /** What it reads into: the whole of `#memory`, or what lies behind bytes that are in use. */
  #buffer = Buffer.allocUnsafeSlow(SMALL_BYTES);
  #memory = this.#buffer;
  #connected = false;
  #answers = 0;
  #error: Error | undefined;
  // Of the request under way:
  #sink: AnswerSink | undefined;
  #answerBegun = false;
  #partialHead: Buffer | undefined;
  #interimBytes = 0;
  #head: AnswerHead | undefined;
  #body: BodyReader | undefined;

  constructor(address: { readonly host: string; readonly port: number }, options: ConnectionOptions) {
    this.#options = options;
    const onread = {
      buffer: () => this.#buffer,
      callback: (count: number) => this.#onRead(this.#buffer, count),
    };
    this.#socket = connect({ ...address, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000, onread });
    this.#watch(options);
  }

  get isUsable(): boolean {
    return this.#sink === undefined && !this.#socket.destroyed;
  }

  /** Sends a request, head and body; its fate is told to `sink`. */
  send(request: readonly [Buffer] | readonly [Buffer, Buffer], sink: AnswerSink): void {
    this.#sink = sink;
    this.#answerBegun = false;
    if (this.#answers > 0) this.#socket.ref();
    const [first, second] = request;
    if (second === undefined) this.#socket.write(first);
    else {
      this.#socket.cork();
      this.#socket.write(first);
      this.#socket.write(second);
      this.#socket.uncork();
    }
    if (this.#connected) sink.onSent();
  }

  /** Ends the request of this sink, and with it the connection; does nothing once that request is over. */
  abort(sink: AnswerSink): void {
    if (this.#sink !== sink) return;
    this.#sink = undefined;
    this.#body?.stop();
    this.#socket.destroy();
  }

  /** Reads on after `full`. */
  resume(sink: AnswerSink): void {
    if (this.#sink === sink) this.#socket.resume();
  }

  #watch({ clock, connectTimeoutMs, idleMs, onClose }: ConnectionOptions): void {
    const socket = this.#socket;
    const limit = clock.setTimer(connectTimeoutMs, () => socket.destroy(new Error("the connection took too long")));
    socket.once("connect", () => {
      limit.cancel();
      this.#connected = true;
      socket.setTimeout(idleMs);
      this.#sink?.onSent();
    });
    // It runs on while a request is under way, and means nothing then: cheaper than starting it with each idle time.
    socket.on("timeout", () => this.#sink === undefined && socket.destroy());
    socket.on("error", (error) => (this.#error = error));
    socket.on("end", () => this.#onEnd());
    socket.once("close", () => {
      limit.cancel();
      this.#fail(this.#error ?? new Error("the connection was closed"));
      onClose(this);
    });
  }

  /** Returns false to read no more for now. */
  #onRead(bytes: Buffer, count: number): boolean {
    const sink = this.#sink;
    if (sink === undefined) {
      // Nobody asked for anything.
      this.#socket.destroy();
      return false;
    }
    this.#answerBegun = true;
    try {
      this.#take(count === bytes.length ? bytes : bytes.subarray(0, count), sink);
    } catch (error) {
      this.#socket.destroy();
      // Not to be swallowed: the sink has no call left that could tell it.
      if (this.#sink !== sink) throw error;
      this.#fail(error instanceof Error ? error : new Error("not an error", { cause: error }));
    }
    const taken = sink.afterRead();
    this.#nextBuffer(taken, count);
    // A connection that waits for its next request must not be found paused by it.
    return taken !== "full" || this.#sink !== sink;
  }

  #take(bytes: Buffer, sink: AnswerSink): void {
    let rest = bytes;
    if (this.#body === undefined) {
      const after = this.#takeHead(bytes, sink);
      if (after === undefined) return;
      rest = after;
    }
    const body = this.#body;
    if (body === undefined || this.#sink !== sink) return;
    const end = body.read(rest, 0, sink);
    if (this.#sink === sink && body.isComplete) this.#complete({ exact: end === rest.length });
  }

  /** What follows the head; undefined until that is whole. Interim heads are between the backend and us. */
  #takeHead(bytes: Buffer, sink: AnswerSink): Buffer | undefined {
    let rest = this.#partialHead === undefined ? bytes : Buffer.concat([this.#partialHead, bytes]);
    for (;;) {
      const end = rest.indexOf("\r\n\r\n", 0, "latin1");
      if (this.#interimBytes + (end === -1 ? rest.length : end) > MAX_HEAD_BYTES)
        throw new BadAnswer("the head is too large");
      if (end === -1) {
        checkBeginning(rest);
        // A copy: the memory it came in is read into again.
        this.#partialHead = Buffer.from(rest);
        return undefined;
      }
      const head = parseHead(rest.toString("latin1", 0, end));
      rest = rest.subarray(end + 4);
      if (head.status === 101) throw new BadAnswer("it switches to a protocol nobody asked for");
      if (head.status < 200) {
        this.#interimBytes += end + 4;
        continue;
      }
      this.#partialHead = undefined;
      this.#head = head;
      this.#body = readerOf(head.framing);
      sink.onHead(head);
      return rest;
    }
  }

  #onEnd(): void {
    if (this.#body?.endsWithConnection === true) this.#complete({ exact: false });
    else this.#fail(new Error("the backend closed the connection"));
    // At once: what of a request is not out yet has nobody left who wants it.
    this.#socket.destroy();
  }

  /** The answer is whole; `exact` unless bytes follow it. */
  #complete({ exact }: { readonly exact: boolean }): void {
    const sink = this.#sink;
    const { keepsAlive } = this.#head ?? { keepsAlive: false };
    this.#forget();
    // Where the request is not out yet, the backend would take the rest of it for the next one.
    const isClean = exact && keepsAlive && this.#socket.writableLength === 0 && !this.#socket.destroyed;
    sink?.onEnd();
    if (!isClean) return void this.#socket.destroy();
    this.#answers += 1;
    this.#socket.unref();
    this.#options.onIdle(this);
  }

  #fail(error: Error): void {
    const sink = this.#sink;
    if (sink === undefined) return;
    const reused = this.#answers > 0;
    const kind = this.#kindOf(error);
    this.#forget();
    sink.onFailure({ kind, error, reused });
  }

  #kindOf(error: Error): CallFailure["kind"] {
    if (!this.#connected) return "unreachable";
    if (!this.#answerBegun) return "unanswered";
    return this.#head === undefined || error instanceof BadAnswer ? "bad_answer" : "broken";
  }

  #forget(): void {
    this.#sink = undefined;
    this.#partialHead = undefined;
    this.#interimBytes = 0;
    this.#head = undefined;
    this.#body = undefined;
  }

  /**
   * Where to read next: behind bytes that are in use, into more memory where it all was filled, else where it was. The memory
   * is one sink's while it has any of it in use: when a later one says `free`, it speaks of its own bytes only.
   */
  #nextBuffer(taken: "free" | "kept" | "full", count: number): void {
    const isIdle = this.#sink === undefined;
    const isFilled = count === this.#buffer.length;
    const size = isIdle ? SMALL_BYTES : isFilled ? LARGE_BYTES : this.#memory.length;
    const isFree = taken === "free";
    if (!isFree && !isIdle && this.#buffer.length - count >= MIN_BYTES) this.#buffer = this.#buffer.subarray(count);
    else {
      if (!isFree || size !== this.#memory.length) this.#memory = Buffer.allocUnsafeSlow(size);
      this.#buffer = this.#memory;
    }
  }
}
