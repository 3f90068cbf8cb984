// One workload under one policy: virtual replicas, on virtual time.
import { Seeded } from "../../test/simulation/seeded.ts";
import type { Policy } from "./policies.ts";
import { VirtualReplica } from "./replica.ts";
import { Router } from "./router.ts";
import type { Speed } from "./speed.ts";
import { workMs, type Ask, type Workload } from "./workload.ts";

/** What became of the requests; times in seconds. */
export interface Outcome {
  readonly ttft: Ttft;
  /** Until the last token, in the mean. */
  readonly endToEnd: number;
  /** Of the prompts' tokens. */
  readonly hitRate: number;
  /** What the busiest replica computed, over the mean. */
  readonly worstLoad: number;
}

/** Time to the first token. */
export interface Ttft {
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
}

export interface RunOptions {
  readonly replicas: number;
  readonly speed: Speed;
  readonly seed: number;
  /** What the gateway takes the size of the caches for, over what it is; 1 when absent. */
  readonly assumed?: number;
}

export function run(
  workload: Workload,
  policy: Policy,
  { replicas: count, speed, seed, assumed = 1 }: RunOptions,
): Outcome {
  const router = new Router(count, Math.round(assumed * speed.blocks));
  const choose = policy.make({ replicas: count, speed, random: new Seeded(seed) });
  const waits: number[] = [];
  let total = 0;
  const listener = {
    onFirstToken(ask: Ask, at: number) {
      waits.push(at - ask.atMs);
      router.firstByte(ask, at);
    },
    onEnd(ask: Ask, at: number) {
      total += at - ask.atMs;
      router.ended(ask);
    },
  };
  const replicas = Array.from({ length: count }, () => new VirtualReplica(speed, listener));
  for (const ask of workload.asks) {
    playTo(replicas, ask.atMs);
    const [wish, candidates] = [router.wish(ask), router.candidates(ask.atMs)];
    const chosen = choose({ ask, wish, candidates, replicas });
    const replica = replicas[chosen];
    if (replica === undefined) throw new Error(`${policy.name} chose replica ${chosen} of ${count}`);
    router.sent(ask, wish, chosen);
    replica.submit(ask, ask.atMs);
  }
  playTo(replicas, Infinity);
  if (waits.length < workload.asks.length) throw new Error(`${workload.name}: a prompt does not fit into the cache`);
  return { ttft: ttftOf(waits), endToEnd: total / waits.length / 1000, ...ofReplicas(replicas, speed) };
}

/** All that happens up to and with that time, in its order. */
function playTo(replicas: readonly VirtualReplica[], time: number): void {
  for (;;) {
    let next: VirtualReplica | undefined;
    for (const replica of replicas) if (replica.nextAt < (next?.nextAt ?? Infinity)) next = replica;
    if (next === undefined || next.nextAt > time) return;
    next.step();
  }
}

/** In seconds, of milliseconds. */
export function ttftOf(waits: readonly number[]): Ttft {
  const sorted = waits.toSorted((a, b) => a - b);
  const quantile = (share: number) => (sorted[Math.ceil(share * sorted.length) - 1] ?? 0) / 1000;
  const mean = sorted.reduce((sum, wait) => sum + wait, 0) / sorted.length / 1000;
  return { mean, p50: quantile(0.5), p99: quantile(0.99) };
}

function ofReplicas(replicas: readonly VirtualReplica[], speed: Speed): Pick<Outcome, "hitRate" | "worstLoad"> {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const prompts = sum(replicas.map(({ promptTokens }) => promptTokens));
  const cached = sum(replicas.map(({ cachedTokens }) => cachedTokens));
  const work = replicas.map((one) => workMs(one.promptTokens - one.cachedTokens, one.answerTokens, speed));
  return { hitRate: cached / prompts, worstLoad: (Math.max(...work) * work.length) / sum(work) };
}
