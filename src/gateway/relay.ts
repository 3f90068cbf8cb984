// Passes one backend's answer on to one client: bytes in, bytes out, no faster than the client reads. It starts `asking`;
// the backend's head makes it `passing`, or `collecting` where the answer cannot follow what the client was sent already;
// it ends exactly once, and how tells the caller whether another try is safe.
import type { Timeouts } from "../catalog/recipe.ts";
import type { AimError } from "../errors.ts";
import type { Clock } from "../lib/clock.ts";
import { backendError, badAnswer, brokenOff, silent, tooLong } from "./backend-error.ts";
import { clientStuck } from "./downstream/client-faults.ts";
import type { Exchange } from "./exchange.ts";
import { valueOf } from "./header-line.ts";
import { responseHeaders } from "./headers.ts";
import type { AnswerSink, CallFailure } from "./upstream/connection.ts";
import type { AnswerHead } from "./upstream/head.ts";
import type { Sending } from "./upstream/upstream.ts";
import type { Watch, Watched } from "./watch.ts";

export type RelayEnd =
  /** The backend's whole answer was passed on, whatever its status. */
  | { readonly kind: "completed" }
  /** No connection: nothing was sent. */
  | { readonly kind: "unreachable"; readonly error: Error }
  /** The request was sent, and the connection ended before the first byte of an answer; `stale` where it met its idle end. */
  | { readonly kind: "unanswered"; readonly error: Error; readonly stale: boolean }
  /** The backend is to blame: it broke off, fell silent, or answered what cannot be passed on. */
  | { readonly kind: "broken" | "timeout" | "bad_answer"; readonly error: AimError }
  /** The client is to blame: it left, or cannot be served. */
  | { readonly kind: "stopped"; readonly error: AimError };

/** How much of an error that cannot be passed on as it is gets kept, to tell the client what it said. */
const MAX_COLLECTED_BYTES = 64 * 1024;

/** An idle connection that was closed says so at once; one that ends later has taken the request, and may have died of it. */
const STALE_MS = 1_000;

const COMPLETED: RelayEnd = { kind: "completed" };

/** What all relays share. */
export interface RelayDeps {
  readonly clock: Clock;
  readonly watch: Watch;
}

export class Relay implements AnswerSink, Watched {
  /** Never rejects. */
  readonly ended: Promise<RelayEnd>;
  /** Its place among those that are looked after. */
  place = -1;
  readonly #exchange: Exchange;
  readonly #clock: Clock;
  readonly #watch: Watch;
  readonly #limits: Timeouts;
  #resolve: ((end: RelayEnd) => void) | undefined;
  #state: "asking" | "passing" | "collecting" | "ended" = "asking";
  #sending: Sending | undefined;
  #isPaused = false;
  #status = 0;
  #collected: Buffer[] | undefined;
  #collectedBytes = 0;
  readonly #beganAt: number;
  #movedAt: number;
  #hasBegun = false;

  constructor(exchange: Exchange, limits: Timeouts, { clock, watch }: RelayDeps) {
    this.#exchange = exchange;
    this.#clock = clock;
    this.#watch = watch;
    this.#limits = limits;
    this.ended = new Promise((resolve) => (this.#resolve = resolve));
    this.#movedAt = clock.now();
    this.#beganAt = this.#movedAt;
    watch.add(this, this.#beganAt, this.#dueAt());
  }

  /** The request is on its way, and can be called back. */
  begin(sending: Sending): void {
    this.#sending = sending;
    this.#exchange.onAbort(() => this.#stop(this.#exchange.abortReason));
  }

  get takesFrames(): boolean {
    return this.#state === "passing" && this.#exchange.reply.takesFrames;
  }

  onSent(): void {
    this.#exchange.phase = "first_byte";
  }

  onHead({ status, headers, framing }: AnswerHead): void {
    if (status >= 300 && status < 400) return this.#refuse("answered with a redirect");
    this.#status = status;
    this.#exchange.answered(status);
    const type = valueOf(headers, "content-type")?.toLowerCase() ?? "application/json";
    const isEventStream = type.startsWith("text/event-stream");
    if (status < 300 && !isEventStream && !/^application\/json\b/.test(type))
      return this.#refuse("answered with something else than JSON");
    const isEncoded = valueOf(headers, "content-encoding") !== undefined;
    const isPlainStream = status === 200 && isEventStream && !isEncoded;
    if (!this.#exchange.reply.held || isPlainStream) {
      this.#state = "passing";
      const length = framing.kind === "length" ? framing.bytes : Infinity;
      this.#exchange.reply.start({ status, headers: responseHeaders(headers), isEventStream, isEncoded, length });
    } else if (status >= 400) this.#state = "collecting";
    else this.#refuse("did not answer with an event stream");
  }

  onFrames(bytes: Buffer, contentBytes: number): void {
    if (!this.#exchange.reply.begun) this.#exchange.firstByte();
    this.#exchange.reply.frames(bytes, contentBytes);
  }

  onContent(bytes: Buffer): void {
    if (this.#state === "collecting") this.#collect(bytes);
    if (this.#state !== "passing") return;
    if (!this.#exchange.reply.begun) this.#exchange.firstByte();
    this.#exchange.reply.content(bytes);
  }

  onEnd(): void {
    if (this.#state === "collecting") return this.#tellCollected();
    this.#exchange.reply.end();
    this.#end(COMPLETED);
  }

  onFailure({ kind, error, reused }: CallFailure): void {
    if (kind === "unreachable") this.#end({ kind, error });
    else if (kind === "unanswered")
      this.#end({ kind, error, stale: reused && this.#clock.now() - this.#beganAt < STALE_MS });
    else if (kind === "broken") this.#end({ kind, error: brokenOff(error) });
    else this.#refuse("gave no proper HTTP answer", error);
  }

  afterRead(): "free" | "kept" | "full" {
    const taken = this.#exchange.reply.flush();
    if (this.#state === "ended") return taken;
    this.#movedAt = this.#clock.now();
    if (!this.#hasBegun && this.#exchange.reply.begun) this.#begun();
    if (taken !== "full") return taken;
    this.#isPaused = true;
    this.#exchange.reply.onDrain(() => this.#resume());
    return "full";
  }

  look(now: number): number {
    if (this.#state === "ended") return Infinity;
    const dueAt = this.#dueAt();
    if (now < dueAt) return dueAt;
    const { totalTimeoutMs } = this.#limits;
    if (now >= this.#beganAt + totalTimeoutMs) this.#end({ kind: "timeout", error: tooLong(totalTimeoutMs) });
    else if (this.#isPaused) this.#stop(clientStuck(this.#stillLimit));
    else this.#end({ kind: "timeout", error: silent(this.#stillLimit) });
    return Infinity;
  }

  #resume(): void {
    this.#isPaused = false;
    this.#movedAt = this.#clock.now();
    this.#sending?.resume(this);
  }

  #collect(bytes: Buffer): void {
    this.#collected ??= [];
    // A copy: the memory it came in is read into again.
    this.#collected.push(Buffer.from(bytes));
    this.#collectedBytes += bytes.length;
    // What is there says enough, and the rest may have no end.
    if (this.#collectedBytes >= MAX_COLLECTED_BYTES) this.#tellCollected();
  }

  #tellCollected(): void {
    this.#exchange.reply.endWith(backendError(this.#status, Buffer.concat(this.#collected ?? [])));
    this.#end(COMPLETED);
  }

  /** From now on another limit holds. */
  #begun(): void {
    this.#hasBegun = true;
    this.#watch.expect(this.#movedAt, this.#dueAt());
  }

  #dueAt(): number {
    return Math.min(this.#movedAt + this.#stillLimit, this.#beganAt + this.#limits.totalTimeoutMs);
  }

  /** How long nothing may move. */
  get #stillLimit(): number {
    return this.#hasBegun ? this.#limits.idleTimeoutMs : this.#limits.firstByteTimeoutMs;
  }

  #refuse(what: string, cause?: Error): void {
    this.#end({ kind: "bad_answer", error: badAnswer(what, cause) });
  }

  #stop(error: AimError): void {
    this.#end({ kind: "stopped", error });
  }

  #end(end: RelayEnd): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#watch.delete(this);
    this.#exchange.onAbort(undefined);
    // Does nothing where the backend's answer is over.
    this.#sending?.abort(this);
    this.#resolve?.(end);
  }
}
