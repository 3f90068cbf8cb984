// What a replica has been sent and has not read yet. Engines read in the order of arrival, and an answer begins when its prompt
// is read; of the eldest prompt some part is read already, by the time that has passed.
//
// A prompt comes in when its request is sent there, and goes once: when the answer begins, when its request ends without one,
// or, where nothing of an answer is seen before all of it is there ("silent"), when a later prompt is read or it must have been.
import type { PrefillRate } from "./rates.ts";

/**
 * A prompt that is being read, or waits for it. They know their neighbours themselves: of a set through which they all pass, V8
 * keeps those that have left until it collects everything.
 */
export interface Unread {
  /** Without those that should be cached. */
  readonly tokens: number;
  readonly since: number;
  readonly silent: boolean;
  /** Kept by its backlog. */
  older?: Unread | undefined;
  newer?: Unread | undefined;
}

/** A silent one is taken for read after so many times as long as it should take. */
const PATIENCE = 2;

export class Backlog {
  readonly #rate: PrefillRate;
  /** The eldest, which it is reading. */
  #head: Unread | undefined;
  #newest: Unread | undefined;
  #prompts = 0;
  #tokens = 0;
  /** When the last one that went did so: the next was not begun before. */
  #lastRead = -Infinity;

  constructor(rate: PrefillRate) {
    this.#rate = rate;
  }

  /** Prompts that it has not read. */
  get prompts(): number {
    return this.#prompts;
  }

  /** Their tokens, all of the one that it is reading included. */
  get tokens(): number {
    return this.#tokens;
  }

  /** Whether it has not gone yet. */
  has(prompt: Unread): boolean {
    return prompt === this.#head || prompt.older !== undefined;
  }

  /** What is left to read by now. */
  tokensLeft(now: number): number {
    this.#expire(now);
    if (this.#head === undefined) return 0;
    return this.#tokens - Math.min(this.#head.tokens, this.#readable(now));
  }

  add(prompt: Unread): void {
    this.#expire(prompt.since);
    prompt.older = this.#newest;
    if (this.#newest === undefined) this.#head = prompt;
    else this.#newest.newer = prompt;
    this.#newest = prompt;
    this.#prompts += 1;
    this.#tokens += prompt.tokens;
  }

  /** Its answer begins. Does nothing for one that has gone already. */
  read(prompt: Unread, now: number): void {
    if (!this.has(prompt)) return;
    if (!prompt.silent) this.#learn(prompt, now);
    this.#remove(prompt);
    this.#lastRead = now;
  }

  /** Its request has ended. Does nothing for one that has gone already. */
  drop(prompt: Unread, now: number): void {
    if (!this.has(prompt)) return;
    if (prompt === this.#head) this.#lastRead = now;
    this.#remove(prompt);
  }

  /** Silent ones before it have been read, too. */
  #learn(prompt: Unread, now: number): void {
    let { tokens, since: begun } = prompt;
    while (this.#head?.silent && this.#head !== prompt) {
      tokens += this.#head.tokens;
      begun = Math.min(begun, this.#head.since);
      this.#remove(this.#head);
    }
    this.#rate.note(tokens, now - Math.max(begun, this.#lastRead));
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
    const { older, newer } = prompt;
    if (older === undefined) this.#head = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    prompt.older = undefined;
    prompt.newer = undefined;
    this.#prompts -= 1;
    this.#tokens -= prompt.tokens;
  }
}
