// Passes one backend's answer on to one client: bytes in, bytes out, no faster than the client reads. It starts `asking`;
// the backend's head makes it `passing`, or `collecting` where the answer cannot follow what the client was sent already;
// it ends exactly once, and how tells the caller whether another try is safe.
import type { IncomingHttpHeaders } from "node:http";
import type { Dispatcher } from "undici";
import type { AimError } from "../errors.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { backendError, badAnswer, badHeader, brokenOff, isUnsendable, silent } from "./backend-error.ts";
import { clientStuck } from "./body.ts";
import type { Exchange } from "./exchange.ts";
import { responseHeaders } from "./headers.ts";
import { isEventStream } from "./reply.ts";

export type RelayEnd =
  /** The backend's whole answer was passed on, whatever its status. */
  | { readonly kind: "completed" }
  /** No connection: nothing was sent. */
  | { readonly kind: "unreachable"; readonly error: Error }
  /** The request was sent, and the connection ended before the first byte of an answer. */
  | { readonly kind: "unanswered"; readonly error: Error }
  /** The backend is to blame: it fell silent, broke off, or answered what cannot be passed on. */
  | { readonly kind: "broken"; readonly error: AimError }
  /** The client is to blame: it left, or cannot be served. */
  | { readonly kind: "stopped"; readonly error: AimError };

export interface RelayLimits {
  readonly firstByteTimeoutMs: number;
  readonly idleTimeoutMs: number;
}

/** How much of an error that cannot be passed on as it is gets kept, to tell the client what it said. */
const MAX_COLLECTED_BYTES = 64 * 1024;

export class Relay implements Dispatcher.DispatchHandler {
  /** Never rejects. */
  readonly ended: Promise<RelayEnd>;
  readonly #exchange: Exchange;
  readonly #clock: Clock;
  readonly #limits: RelayLimits;
  readonly #onAbort = () => this.#stop(this.#exchange.abortReason);
  #resolve: ((end: RelayEnd) => void) | undefined;
  #state: "asking" | "passing" | "collecting" | "ended" = "asking";
  #controller: Dispatcher.DispatchController | undefined;
  #answerBegun = false;
  #status = 0;
  readonly #collected: Buffer[] = [];
  #collectedBytes = 0;
  #movedAt: number;
  #watch: Timer;

  constructor(exchange: Exchange, clock: Clock, limits: RelayLimits) {
    this.#exchange = exchange;
    this.#clock = clock;
    this.#limits = limits;
    this.ended = new Promise((resolve) => (this.#resolve = resolve));
    this.#movedAt = clock.now();
    this.#watch = clock.setTimer(limits.firstByteTimeoutMs, () => this.#checkProgress());
    exchange.signal.addEventListener("abort", this.#onAbort, { once: true });
    if (exchange.signal.aborted) this.#onAbort();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // The client left while the connection was being made.
    if (this.#state === "ended") return controller.abort(new Error("no longer wanted"));
    this.#exchange.phase = "first_byte";
  }

  onResponseStarted(): void {
    this.#answerBegun = true;
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    // 1xx heads come before the real one and are between the backend and us.
    if (status < 200 || this.#state === "ended") return;
    if (status >= 300 && status < 400) return this.#break(badAnswer("answered with a redirect"));
    this.#status = status;
    this.#exchange.answered(status);
    if (status < 300 && !isModelAnswer(headers))
      return this.#break(badAnswer("answered with something else than JSON"));
    if (!this.#exchange.reply.held || isPlainStream(status, headers)) {
      this.#state = "passing";
      this.#exchange.reply.start(status, responseHeaders(headers));
    } else if (status >= 400) this.#state = "collecting";
    else this.#break(badAnswer("did not answer with an event stream"));
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#movedAt = this.#clock.now();
    if (this.#state === "collecting") this.#collect(chunk);
    if (this.#state !== "passing") return;
    if (!this.#exchange.reply.begun) this.#onFirstByte();
    if (this.#exchange.reply.write(chunk)) return;
    controller.pause();
    this.#exchange.reply.onDrain(() => {
      this.#movedAt = this.#clock.now();
      controller.resume();
    });
  }

  onResponseEnd(): void {
    const { reply } = this.#exchange;
    if (this.#state === "collecting") reply.endWith(backendError(this.#status, Buffer.concat(this.#collected)));
    else reply.end();
    this.#end({ kind: "completed" });
  }

  onResponseError(_: Dispatcher.DispatchController | null, error: Error): void {
    if (isUnsendable(error)) this.#end({ kind: "stopped", error: badHeader(error) });
    else if (this.#controller === undefined) this.#end({ kind: "unreachable", error });
    else if (!this.#answerBegun) this.#end({ kind: "unanswered", error });
    else if (this.#state === "asking") this.#break(badAnswer("gave no proper HTTP answer", error));
    else this.#break(brokenOff(error));
  }

  #onFirstByte(): void {
    this.#exchange.firstByte();
    this.#watch.cancel();
    this.#watch = this.#clock.setTimer(this.#limits.idleTimeoutMs, () => this.#checkProgress());
  }

  #collect(chunk: Buffer): void {
    if (this.#collectedBytes >= MAX_COLLECTED_BYTES) return;
    this.#collected.push(chunk);
    this.#collectedBytes += chunk.length;
  }

  /** One timer for many chunks: it looks when the last one came, and sleeps again for what is left. */
  #checkProgress(): void {
    const { firstByteTimeoutMs, idleTimeoutMs } = this.#limits;
    const limit = this.#exchange.reply.begun ? idleTimeoutMs : firstByteTimeoutMs;
    const left = this.#movedAt + limit - this.#clock.now();
    if (left > 0) this.#watch = this.#clock.setTimer(left, () => this.#checkProgress());
    else if (this.#controller?.paused === true) this.#stop(clientStuck(limit));
    else this.#break(silent(limit));
  }

  #break(error: AimError): void {
    this.#end({ kind: "broken", error });
    this.#controller?.abort(error);
  }

  #stop(error: AimError): void {
    this.#end({ kind: "stopped", error });
    this.#controller?.abort(error);
  }

  #end(end: RelayEnd): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#watch.cancel();
    this.#exchange.signal.removeEventListener("abort", this.#onAbort);
    this.#resolve?.(end);
  }
}

/** False for what is no answer of a model server: a proxy or a stranger at its address answers with a page. */
function isModelAnswer(headers: IncomingHttpHeaders): boolean {
  return isEventStream(headers) || /^application\/json\b/i.test(headers["content-type"] ?? "application/json");
}

function isPlainStream(status: number, headers: IncomingHttpHeaders): boolean {
  return status === 200 && isEventStream(headers) && headers["content-encoding"] === undefined;
}
