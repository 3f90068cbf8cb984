// The parts of one simulated engine, wired together; the routes of the server work on them.
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import { Engine } from "./engine.ts";
import { Faults } from "./faults.ts";
import type { ServeOptions } from "./flags.ts";
import type { Log } from "./log.ts";
import { EngineMetrics } from "./metrics.ts";
import { PrefixCache } from "./prefix-cache.ts";
import { SleepMode } from "./sleep-mode.ts";

/** What `vllm --version` and GET /version say; the suffix keeps anybody from taking it for the real one. */
export const VERSION = "0.22.0+sim";

/** What the simulation takes from outside. */
export interface World {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface Core extends World {
  readonly options: ServeOptions;
  readonly maxModelLength: number;
  readonly engine: Engine;
  readonly cache: PrefixCache;
  readonly metrics: EngineMetrics;
  readonly faults: Faults;
  readonly sleepMode: SleepMode;
  /** When it became ready, by the clock. */
  readonly startedAt: number;
  /** The same in seconds since the Unix epoch. */
  readonly created: number;
}

export function createCore(options: ServeOptions, world: World): Core {
  const { clock } = world;
  const { knobs } = options;
  const metrics = new EngineMetrics();
  const cache = new PrefixCache({
    blocks: knobs.cacheBlocks,
    blockSize: options.blockSize,
    enabled: options.prefixCaching,
  });
  const engine = new Engine({ ...options, ...knobs }, { clock, cache, metrics });
  return {
    ...world,
    options,
    maxModelLength: maxModelLengthOf(options),
    engine,
    cache,
    metrics,
    faults: new Faults(knobs),
    sleepMode: new SleepMode({
      clock,
      engine,
      cache,
      sleepMs: knobs.sleepSeconds * 1000,
      wakeMs: knobs.wakeSeconds * 1000,
    }),
    startedAt: clock.now(),
    created: Math.floor(clock.wallNow() / 1000),
  };
}

const MODEL_LENGTH = 32_768;

/** What the flag says, else what the model and the cache allow. */
export function maxModelLengthOf(options: ServeOptions): number {
  return options.maxModelLength ?? Math.min(MODEL_LENGTH, cacheTokensOf(options));
}

/** Tokens that fit into the KV cache. */
export function cacheTokensOf(options: ServeOptions): number {
  return options.knobs.cacheBlocks * options.blockSize;
}
