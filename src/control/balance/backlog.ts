// What a replica has been sent and has not read yet. Engines read in the order of arrival, and an answer begins when its prompt
// is read; of the eldest prompt some part is read already, by the time that has passed.
//
// A prompt comes in when its request is sent there, and goes once: when the answer begins, when its request ends without one,
// or, where nothing of an answer is seen before all of it is there ("silent"), when a later prompt is read or it must have been.
import type { PrefillRate } from "./rates.ts";

/** A prompt that is being read, or waits for it. */
export interface Unread {
  /** Without those that should be cached. */
  readonly tokens: number;
  readonly since: number;
  readonly silent: boolean;
}

/** A silent one is taken for read after so many times as long as it should take. */
const PATIENCE = 2;

export class Backlog {
  readonly #rate: PrefillRate;
  /** The eldest first. */
  readonly #prompts = new Set<Unread>();
  #head: Unread | undefined;
  #tokens = 0;
  /** When the last one that went did so: the next was not begun before. */
  #lastRead = -Infinity;

  constructor(rate: PrefillRate) {
    this.#rate = rate;
  }

  /** Prompts that it has not read. */
  get prompts(): number {
    return this.#prompts.size;
  }

  /** Their tokens, all of the one that it is reading included. */
  get tokens(): number {
    return this.#tokens;
  }

  /** What is left to read by now. */
  tokensLeft(now: number): number {
    this.#expire(now);
    if (this.#head === undefined) return 0;
    return this.#tokens - Math.min(this.#head.tokens, this.#readable(now));
  }

  add(prompt: Unread): void {
    this.#expire(prompt.since);
    this.#prompts.add(prompt);
    this.#tokens += prompt.tokens;
    this.#head ??= prompt;
  }

  /** Its answer begins. Does nothing for one that has gone already. */
  read(prompt: Unread, now: number): void {
    if (!this.#prompts.has(prompt)) return;
    let tokens = prompt.tokens;
    let begun = prompt.since;
    if (!prompt.silent) {
      for (const elder of this.#prompts) {
        if (!elder.silent) break;
        tokens += elder.tokens;
        begun = Math.min(begun, elder.since);
        this.#remove(elder);
      }
      this.#rate.note(tokens, now - Math.max(begun, this.#lastRead));
    }
    this.#remove(prompt);
    this.#lastRead = now;
  }

  /** Its request has ended. Does nothing for one that has gone already. */
  drop(prompt: Unread, now: number): void {
    if (!this.#prompts.has(prompt)) return;
    if (prompt === this.#head) this.#lastRead = now;
    this.#remove(prompt);
  }

  #expire(now: number): void {
    while (this.#head?.silent) {
      const { tokens, since } = this.#head;
      const readAt = Math.max(since, this.#lastRead) + (PATIENCE * tokens * 1000) / this.#rate.perSecond;
      if (readAt > now) return;
      this.#remove(this.#head);
      this.#lastRead = readAt;
    }
  }

  /** Tokens that it may have read since it began with the eldest prompt. */
  #readable(now: number): number {
    const since = Math.max(this.#head?.since ?? now, this.#lastRead);
    return (Math.max(0, now - since) / 1000) * this.#rate.perSecond;
  }

  #remove(prompt: Unread): void {
    this.#prompts.delete(prompt);
    this.#tokens -= prompt.tokens;
    if (prompt !== this.#head) return;
    [this.#head] = this.#prompts;
  }
}
