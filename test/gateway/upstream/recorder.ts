// Who is told of an answer, and writes down what it is told.
import type { AnswerSink, CallFailure } from "../../../src/gateway/upstream/connection.ts";
import type { AnswerHead } from "../../../src/gateway/upstream/head.ts";
import { type Sending, Upstream } from "../../../src/gateway/upstream/upstream.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { until } from "../../support/until.ts";

type Call = "onSent" | "onHead" | "onFrames" | "onContent" | "onEnd" | "onFailure" | "afterRead";

export interface RecorderOptions {
  readonly takesFrames?: boolean;
  /** What is to happen within a call. */
  readonly within?: Partial<Record<Call, (recorder: Recorder) => void>>;
  /** What `afterRead` says; "free" unless given. */
  readonly taking?: (recorder: Recorder) => "free" | "kept" | "full";
}

export class Recorder implements AnswerSink {
  readonly takesFrames: boolean;
  readonly calls: Call[] = [];
  readonly parts: Buffer[] = [];
  head: AnswerHead | undefined;
  failure: CallFailure | undefined;
  sending: Sending | undefined;
  readonly #options: RecorderOptions;

  constructor(options: RecorderOptions = {}) {
    this.#options = options;
    this.takesFrames = options.takesFrames ?? false;
  }

  get text(): string {
    return Buffer.concat(this.parts).toString("latin1");
  }

  /** Resolves with how it ended. */
  async over(): Promise<"ended" | CallFailure["kind"]> {
    await until(() => this.calls.includes("onEnd") || this.failure, { what: "the end of the answer" });
    return this.failure?.kind ?? "ended";
  }

  abort(): void {
    this.sending?.abort(this);
  }

  onSent(): void {
    this.#note("onSent");
  }

  onHead(head: AnswerHead): void {
    this.head = head;
    this.#note("onHead");
  }

  onFrames(bytes: Buffer): void {
    this.parts.push(bytes);
    this.#note("onFrames");
  }

  onContent(bytes: Buffer): void {
    this.parts.push(bytes);
    this.#note("onContent");
  }

  onEnd(): void {
    this.#note("onEnd");
  }

  onFailure(failure: CallFailure): void {
    this.failure = failure;
    this.#note("onFailure");
  }

  afterRead(): "free" | "kept" | "full" {
    this.#note("afterRead");
    const taken = this.#options.taking?.(this) ?? "free";
    // As whoever has no use for the memory any more does.
    if (taken === "free") this.parts.splice(0, Infinity, Buffer.concat(this.parts));
    return taken;
  }

  #note(call: Call): void {
    this.calls.push(call);
    this.#options.within?.[call]?.(this);
  }
}

export function createUpstream({ idleMs = 60_000 } = {}): Upstream {
  return new Upstream({ clock: systemClock, idleMs });
}

export interface Asking extends RecorderOptions {
  readonly body?: Buffer;
  readonly headers?: readonly string[];
  readonly fresh?: boolean;
  readonly connectTimeoutMs?: number;
}

export function ask(upstream: Upstream, address: URL, asking: Asking = {}): Recorder {
  const { body = Buffer.from("{}"), headers = [], fresh = false, connectTimeoutMs = 5_000 } = asking;
  const recorder = new Recorder(asking);
  const path = "/v1/chat/completions";
  recorder.sending = upstream.send({ address, path, headers, body, fresh, connectTimeoutMs }, recorder);
  return recorder;
}
