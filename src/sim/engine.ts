// The model of time: continuous batching as vLLM does it, in steps that cost what prefill and decode cost.
import type { Clock, Timer } from "../lib/clock.ts";
import type { EngineMetrics } from "./metrics.ts";
import type { PrefixCache, Reservation } from "./prefix-cache.ts";

/** Why a sequence ended. */
export type EndReason = "stop" | "length" | "abort";

/** One sequence to generate. */
export interface Job {
  readonly prompt: readonly number[];
  /** The tokens it will say; none means prefill only, as for an embedding. */
  readonly output: readonly number[];
  readonly end: "stop" | "length";
  /** It makes no progress past that many tokens; Infinity for a healthy one. */
  readonly stallAfter: number;
  onToken(index: number): void;
  /** Exactly once, after the last token. */
  onEnd(reason: EndReason): void;
}

/** A submitted job. */
export interface Ticket {
  /** Prompt tokens found in the prefix cache; known once it runs. */
  readonly cachedTokens: number;
  /** Ends it now with "abort" and frees its slot; does nothing once it ended. */
  abort(): void;
}

export interface EngineOptions {
  readonly maxSequences: number;
  /** Tokens that one step may compute. */
  readonly maxBatchedTokens: number;
  readonly prefillMsPerToken: number;
  readonly decodeMsPerToken: number;
  readonly decodeMsPerSequence: number;
}

interface Sequence {
  readonly job: Job;
  readonly arrivedAt: number;
  startedAt: number;
  firstTokenAt: number;
  lastTokenAt: number;
  reservation: Reservation | undefined;
  prefillLeft: number;
  said: number;
}

interface Step {
  readonly prefill: ReadonlyMap<Sequence, number>;
  readonly decode: readonly Sequence[];
}

/**
 * Sequences wait in order of arrival until there is a slot and room in the cache, then run until they said all.
 * One step at a time is under way: it prefills what the token budget allows and gives each prefilled sequence a token.
 * Paused (asleep, dead): no step starts, whatever runs or waits stays where it is.
 */
export class Engine {
  readonly #options: EngineOptions;
  readonly #clock: Clock;
  readonly #cache: PrefixCache;
  readonly #metrics: EngineMetrics;
  readonly #waiting = new Set<Sequence>();
  readonly #running = new Set<Sequence>();
  #timer: Timer | undefined;
  #paused = false;
  /** When the step under way is due. */
  #dueAt = 0;

  constructor(
    options: EngineOptions,
    parts: { readonly clock: Clock; readonly cache: PrefixCache; readonly metrics: EngineMetrics },
  ) {
    this.#options = options;
    this.#clock = parts.clock;
    this.#cache = parts.cache;
    this.#metrics = parts.metrics;
  }

  get running(): number {
    return this.#running.size;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  submit(job: Job): Ticket {
    const now = this.#clock.now();
    const sequence: Sequence = {
      job,
      arrivedAt: now,
      startedAt: now,
      firstTokenAt: now,
      lastTokenAt: now,
      reservation: undefined,
      prefillLeft: job.prompt.length,
      said: 0,
    };
    this.#waiting.add(sequence);
    this.#begin();
    return {
      get cachedTokens() {
        return sequence.reservation?.cachedTokens ?? 0;
      },
      abort: () => this.#end(sequence, "abort"),
    };
  }

  /** No step starts until `resume`; the one under way is dropped. */
  pause(): void {
    this.#paused = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  resume(): void {
    this.#paused = false;
    this.#begin();
  }

  /** Ends everything that runs or waits. */
  abortAll(): void {
    for (const sequence of [...this.#running, ...this.#waiting]) this.#end(sequence, "abort");
  }

  /** `from`: when the step before was due; starting there keeps late timers from adding up. */
  #begin(from = this.#clock.now()): void {
    if (this.#timer !== undefined || this.#paused) return;
    this.#admit();
    const step = this.#plan();
    if (step === undefined) return;
    const now = this.#clock.now();
    this.#dueAt = Math.max(now, from + this.#costOf(step));
    this.#timer = this.#clock.setTimer(this.#dueAt - now, () => this.#finish(step));
  }

  #admit(): void {
    for (const sequence of this.#waiting) {
      if (this.#running.size >= this.#options.maxSequences) return;
      const { prompt, output } = sequence.job;
      const reservation = this.#cache.reserve(prompt, output.length);
      // The first one that does not fit holds up the rest: first come, first served.
      if (reservation === undefined) return;
      this.#waiting.delete(sequence);
      this.#running.add(sequence);
      sequence.reservation = reservation;
      sequence.prefillLeft -= reservation.cachedTokens;
      sequence.startedAt = this.#clock.now();
      this.#metrics.queueTime.observe((sequence.startedAt - sequence.arrivedAt) / 1000);
      this.#metrics.cacheQueries.add(prompt.length);
      this.#metrics.cacheHits.add(reservation.cachedTokens);
    }
  }

  #plan(): Step | undefined {
    const able = [...this.#running].filter((sequence) => sequence.said < sequence.job.stallAfter);
    const decode = able.filter((sequence) => sequence.prefillLeft === 0);
    const prefill = new Map<Sequence, number>();
    let budget = Math.max(1, this.#options.maxBatchedTokens - decode.length);
    for (const sequence of able) {
      const share = Math.min(sequence.prefillLeft, budget);
      if (share > 0) prefill.set(sequence, share);
      budget -= share;
    }
    return decode.length + prefill.size === 0 ? undefined : { prefill, decode };
  }

  #costOf({ prefill, decode }: Step): number {
    const { prefillMsPerToken, decodeMsPerToken, decodeMsPerSequence } = this.#options;
    const decodeMs = decode.length === 0 ? 0 : decodeMsPerToken + decodeMsPerSequence * decode.length;
    return decodeMs + tokensOf(prefill) * prefillMsPerToken;
  }

  #finish({ prefill, decode }: Step): void {
    this.#metrics.iterationTokens.observe(tokensOf(prefill) + decode.length);
    for (const [sequence, tokens] of prefill) this.#prefilled(sequence, tokens);
    for (const sequence of decode) this.#say(sequence);
    // Only now: a sequence that ends within the step must not begin the next one.
    this.#timer = undefined;
    this.#begin(this.#dueAt);
  }

  #prefilled(sequence: Sequence, tokens: number): void {
    const { reservation, job } = sequence;
    // It may have been aborted since the step began; its blocks are no longer its own.
    if (!this.#running.has(sequence)) return;
    sequence.prefillLeft -= tokens;
    if (reservation === undefined || sequence.prefillLeft > 0) return;
    this.#cache.share(reservation, job.prompt);
    this.#metrics.promptTokens.add(job.prompt.length);
    this.#metrics.prefillTime.observe((this.#clock.now() - sequence.startedAt) / 1000);
    if (job.output.length === 0) this.#end(sequence, job.end);
    else this.#say(sequence);
  }

  #say(sequence: Sequence): void {
    if (!this.#running.has(sequence)) return;
    const now = this.#clock.now();
    if (sequence.said === 0) {
      sequence.firstTokenAt = now;
      this.#metrics.timeToFirstToken.observe((now - sequence.arrivedAt) / 1000);
    } else {
      this.#metrics.interTokenLatency.observe((now - sequence.lastTokenAt) / 1000);
    }
    sequence.lastTokenAt = now;
    this.#metrics.generationTokens.add(1);
    sequence.job.onToken(sequence.said++);
    if (sequence.said === sequence.job.output.length) this.#end(sequence, sequence.job.end);
  }

  #end(sequence: Sequence, reason: EndReason): void {
    const { job, reservation } = sequence;
    const waited = this.#waiting.delete(sequence);
    if (!this.#running.delete(sequence) && !waited) return;
    if (reservation !== undefined) {
      if (sequence.said > 0) this.#cache.share(reservation, [...job.prompt, ...job.output.slice(0, sequence.said)]);
      this.#cache.release(reservation);
    }
    const now = this.#clock.now();
    this.#metrics.finished.add(1, reason);
    this.#metrics.requestLatency.observe((now - sequence.arrivedAt) / 1000);
    if (sequence.said > 0) this.#metrics.decodeTime.observe((now - sequence.firstTokenAt) / 1000);
    job.onEnd(reason);
    this.#begin();
  }
}

function tokensOf(prefill: ReadonlyMap<Sequence, number>): number {
  let total = 0;
  for (const tokens of prefill.values()) total += tokens;
  return total;
}
