// What is asked of the replicas: requests with their times, and how much work they are.
import { BLOCK_TOKENS, type Speed } from "./speed.ts";

/** One request. Nothing is known of its text but which blocks of it are the same as in others. */
export interface Ask {
  /** From the start. */
  readonly atMs: number;
  readonly tokens: number;
  readonly outputTokens: number;
  /** One id per block of the prompt, the last of which may be part of one; equal ids mean equal text from the beginning on. */
  readonly blocks: readonly number[];
}

export interface Workload {
  readonly name: string;
  /** One sentence. */
  readonly about: string;
  /** In the order of their times. */
  readonly asks: readonly Ask[];
  /** What a cache without a bound would save is no load: traffic that could not be borne without one. */
  readonly loadIsAfterHits?: true;
}

/** Milliseconds that one replica would compute for it, with nothing in its cache: its prompt, and its share of the steps of its answer. */
export function workMs(tokens: number, outputTokens: number, speed: Speed): number {
  return tokens * speed.prefillMsPerToken + outputTokens * speed.decodeMsPerSequence;
}

/** Work per time that the replicas have: 1 when they could just bear it without a cache. */
export function loadOf(workload: Workload, replicas: number, speed: Speed): number {
  const { asks, loadIsAfterHits } = workload;
  const tokens = asks.reduce((sum, ask) => sum + ask.tokens, 0) * (loadIsAfterHits ? 1 - reusable(workload) : 1);
  const outputTokens = asks.reduce((sum, ask) => sum + ask.outputTokens, 0);
  return workMs(tokens, outputTokens, speed) / (replicas * durationMs(asks));
}

/** The same requests, closer together or further apart, so that the load is as wanted. */
export function atLoad(workload: Workload, load: number, replicas: number, speed: Speed): Workload {
  const factor = loadOf(workload, replicas, speed) / load;
  return { ...workload, asks: workload.asks.map((ask) => ({ ...ask, atMs: ask.atMs * factor })) };
}

/** The share of the prompts' tokens that stood at the beginning of an earlier prompt: what a single cache without a bound would hit. */
export function reusable({ asks }: Workload): number {
  const seen = new Set<number>();
  let [hits, tokens] = [0, 0];
  for (const { blocks, tokens: length } of asks) {
    const firstNew = blocks.findIndex((block) => !seen.has(block));
    hits += Math.min(length, (firstNew < 0 ? blocks.length : firstNew) * BLOCK_TOKENS);
    tokens += length;
    for (const block of blocks) seen.add(block);
  }
  return hits / tokens;
}

function durationMs(asks: readonly Ask[]): number {
  const last = asks.at(-1);
  if (last === undefined || last.atMs === 0) throw new Error("a workload needs requests at different times");
  return last.atMs;
}
