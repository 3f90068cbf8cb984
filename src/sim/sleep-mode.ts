// Sleep mode: level 1 keeps the weights in memory, level 2 drops them; nothing is generated until it is awake again.
import { type Clock, sleep } from "../lib/clock.ts";
import type { Engine } from "./engine.ts";
import type { PrefixCache } from "./prefix-cache.ts";

export type SleepLevel = 0 | 1 | 2;
/** What becomes of requests under way: ended, finished first, or kept until it wakes. */
export type SleepPolicy = "abort" | "wait" | "keep";

export interface SleepParts {
  readonly clock: Clock;
  readonly engine: Engine;
  readonly cache: PrefixCache;
  readonly sleepMs: number;
  readonly wakeMs: number;
}

const IDLE_CHECK_MS = 10;

/** Awake, or asleep at a level. Level 0 only pauses, and counts as asleep. A request sent meanwhile waits, as at vLLM. */
export class SleepMode {
  readonly #parts: SleepParts;
  #asleep: SleepLevel | undefined;
  #isAway = false;

  constructor(parts: SleepParts) {
    this.#parts = parts;
  }

  get isSleeping(): boolean {
    return this.#asleep !== undefined;
  }

  /** Generates nothing: it sleeps, is about to, or is not wholly awake yet. */
  get isAway(): boolean {
    return this.#isAway;
  }

  /** 0 when awake. */
  get level(): SleepLevel {
    return this.#asleep ?? 0;
  }

  /** The signal ends the wait for others, no more: a sleep that has begun comes to its end. */
  async fallAsleep(level: SleepLevel, policy: SleepPolicy, signal: AbortSignal): Promise<void> {
    const { clock, engine, cache, sleepMs } = this.#parts;
    if (policy === "wait") {
      while (engine.running + engine.waiting > 0) await sleep(clock, IDLE_CHECK_MS, signal);
    }
    engine.pause();
    this.#isAway = true;
    if (policy === "abort") engine.abortAll();
    await sleep(clock, sleepMs);
    if (level > 0) cache.clear();
    this.#asleep = level;
  }

  /** Waking only the weights leaves it asleep: the KV cache comes back with a second call. */
  async wake(tags: readonly string[]): Promise<void> {
    const { clock, engine, wakeMs } = this.#parts;
    await sleep(clock, wakeMs);
    if (tags.length > 0 && !tags.includes("kv_cache")) return;
    this.#asleep = undefined;
    this.#isAway = false;
    engine.resume();
  }
}
