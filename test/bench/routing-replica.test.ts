// The virtual replica against the sim engine itself, on the same requests: each first and each last token at the same time.
import { expect, it } from "vitest";
import { VirtualReplica } from "../../bench/routing/replica.ts";
import { BLOCK_TOKENS, SPEED, type Speed } from "../../bench/routing/speed.ts";
import { Texts, type Text } from "../../bench/routing/texts.ts";
import type { Ask } from "../../bench/routing/workload.ts";
import { Engine } from "../../src/sim/engine.ts";
import { EngineMetrics } from "../../src/sim/metrics.ts";
import { PrefixCache } from "../../src/sim/prefix-cache.ts";
import { Seeded } from "../simulation/seeded.ts";
import { FakeClock } from "../support/clock.ts";

/** Times of the first and of the last token, by request. */
type Times = ReadonlyMap<Ask, { first: number; last: number }>;

interface Played {
  readonly times: Times;
  readonly cachedTokens: number;
}

/** Sometimes more than the replica bears, with prompts that share beginnings, of any length. */
function makeAsks(seed: number, count: number): Ask[] {
  const random = new Seeded(seed);
  const texts = new Texts();
  const known: Text[] = [texts.begin(0)];
  let atMs = 0;
  return Array.from({ length: count }, () => {
    atMs += random.next() < 0.3 ? 0.5 : random.upTo(600) + 0.25;
    const text = texts.grow(random.one(known), 1 + random.upTo(3 * BLOCK_TOKENS));
    known.push(text);
    return { atMs, ...text, outputTokens: 1 + random.upTo(60) };
  });
}

/** A text of which each block has tokens of its own. */
function tokensOf({ blocks, tokens }: Ask): number[] {
  return Array.from({ length: tokens }, (_, at) => (blocks[Math.floor(at / BLOCK_TOKENS)] ?? 0) * 1000 + (at % 1000));
}

function playVirtual(asks: readonly Ask[], speed: Speed): Played {
  const times = new Map<Ask, { first: number; last: number }>();
  const replica = new VirtualReplica(speed, {
    onFirstToken: (ask, at) => times.set(ask, { first: at, last: NaN }),
    onEnd: (ask, at) => times.set(ask, { first: times.get(ask)?.first ?? NaN, last: at }),
  });
  for (const ask of asks) {
    while (replica.nextAt <= ask.atMs) replica.step();
    replica.submit(ask, ask.atMs);
  }
  while (replica.nextAt < Infinity) replica.step();
  return { times, cachedTokens: replica.cachedTokens };
}

async function playEngine(asks: readonly Ask[], speed: Speed): Promise<Played> {
  const clock = new FakeClock({ turns: 1 });
  const metrics = new EngineMetrics();
  const cache = new PrefixCache({ blocks: speed.blocks, blockSize: BLOCK_TOKENS, enabled: true });
  const engine = new Engine(speed, { clock, cache, metrics });
  const times = new Map<Ask, { first: number; last: number }>();
  let answerTokens = 1e9;
  let cachedTokens = 0;
  for (const ask of asks) {
    clock.setTimer(ask.atMs, () => {
      const ticket = engine.submit({
        prompt: tokensOf(ask),
        output: Array.from({ length: ask.outputTokens }, () => answerTokens++),
        end: "length",
        stallAfter: Infinity,
        onToken: (index) => {
          if (index === 0) times.set(ask, { first: clock.now(), last: NaN });
        },
        onEnd: () => {
          times.set(ask, { first: times.get(ask)?.first ?? NaN, last: clock.now() });
          cachedTokens += ticket.cachedTokens;
        },
      });
    });
  }
  await clock.advance((asks.at(-1)?.atMs ?? 0) + 600_000);
  return { times, cachedTokens };
}

it.each([
  { about: "with room for all", speed: { ...SPEED, blocks: 500 } },
  { about: "with a small cache", speed: { ...SPEED, blocks: 24 } },
  { about: "with few slots and short steps", speed: { ...SPEED, blocks: 60, maxSequences: 3, maxBatchedTokens: 700 } },
])("takes the time that the sim engine takes, $about", async ({ speed }) => {
  const asks = makeAsks(7, 90);
  const [virtual, engine] = [playVirtual(asks, speed), await playEngine(asks, speed)];
  expect(virtual.times.size).toBe(asks.length);
  for (const [index, ask] of asks.entries()) {
    const [got, wanted] = [virtual.times.get(ask), engine.times.get(ask)];
    expect(got?.first, `first token of ${index}`).toBeCloseTo(wanted?.first ?? NaN, 3);
    expect(got?.last, `last token of ${index}`).toBeCloseTo(wanted?.last ?? NaN, 3);
  }
  expect(virtual.cachedTokens).toBe(engine.cachedTokens);
  expect(virtual.cachedTokens).toBeGreaterThan(0);
});

it("knows when the first token would come, when nobody waits for room", () => {
  const [first, second, third] = makeAsks(3, 3);
  if (first === undefined || second === undefined || third === undefined) throw new Error("three were asked for");
  let came = NaN;
  const replica = new VirtualReplica(SPEED, {
    onFirstToken: (ask, at) => {
      if (ask === third) came = at;
    },
    onEnd: () => {},
  });
  replica.submit(first, 0);
  replica.submit(second, 1);
  const foreseen = replica.trueWaitMs(third, 2);
  replica.submit(third, 2);
  while (replica.nextAt < Infinity) replica.step();
  expect(2 + foreseen).toBeCloseTo(came, 6);
});
