// What the benchmark of routing asks for: its texts, its loads, and the traces that it reads.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { GENERATORS } from "../../bench/routing/generators.ts";
import { BLOCK_TOKENS, flagsOf, SPEED } from "../../bench/routing/speed.ts";
import { Texts } from "../../bench/routing/texts.ts";
import { readTrace } from "../../bench/routing/trace-file.ts";
import { atLoad, loadOf, reusable, type Workload } from "../../bench/routing/workload.ts";
import { readServeOptions } from "../../src/sim/flags.ts";

async function traceOf(...lines: readonly string[]): Promise<Workload> {
  const folder = await mkdtemp(join(tmpdir(), "aim-trace-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, "some.jsonl");
  await writeFile(file, lines.join("\n"));
  return readTrace(file);
}

function line(timestamp: number, inputLength: number, hashIds: readonly number[], outputLength = 10): string {
  const fields = { timestamp, input_length: inputLength, output_length: outputLength, hash_ids: hashIds };
  return JSON.stringify(fields);
}

describe("texts that grew from one", () => {
  it("have its full blocks in common, and nothing else", () => {
    const texts = new Texts();
    const begun = texts.begin(2 * BLOCK_TOKENS + 1);
    const [one, other] = [texts.grow(begun, 5), texts.grow(begun, 2 * BLOCK_TOKENS)];
    expect([begun.blocks.length, one.blocks.length, other.blocks.length]).toEqual([3, 3, 5]);
    expect(one.blocks.filter((block) => other.blocks.includes(block))).toEqual(begun.blocks.slice(0, 2));
    expect(one.tokens).toBe(2 * BLOCK_TOKENS + 6);
  });
});

describe.each(Object.entries(GENERATORS))("the generator of %s", (name, generate) => {
  const workload = generate({ seed: 1, requests: 500 });

  it("makes the same with the same seed, and something else with another", () => {
    expect(workload.name).toBe(name);
    expect(generate({ seed: 1, requests: 500 })).toEqual(workload);
    expect(generate({ seed: 2, requests: 500 })).not.toEqual(workload);
  });

  it("makes requests in the order of their times, each with its blocks", () => {
    expect(workload.asks.length).toBeGreaterThan(250);
    for (const [index, { atMs, tokens, outputTokens, blocks }] of workload.asks.entries()) {
      expect(atMs).toBeGreaterThanOrEqual(workload.asks[index - 1]?.atMs ?? 0);
      expect(blocks).toHaveLength(Math.ceil(tokens / BLOCK_TOKENS));
      expect(outputTokens).toBeGreaterThanOrEqual(1);
    }
  });

  it("bears any load", () => {
    for (const load of [0.5, 0.95]) expect(loadOf(atLoad(workload, load, 4, SPEED), 4, SPEED)).toBeCloseTo(load, 9);
  });
});

describe("the load", () => {
  const asks = [0, 1000].map((atMs) => ({ atMs, tokens: 1024, outputTokens: 100, blocks: [1, 2] }));

  it("is what prompts and answers take to compute, over the time that the replicas have", () => {
    // 2 x (1,024 x 0.1 ms + 100 x 0.3 ms) in two seconds of two replicas.
    expect(loadOf({ name: "two", about: "", asks }, 2, SPEED)).toBeCloseTo((2 * 132.4) / 2000, 9);
  });

  it("leaves out what a cache without a bound saves, where the workload says so", () => {
    const workload = { name: "two", about: "", asks, loadIsAfterHits: true } as const;
    expect(reusable(workload)).toBe(0.5);
    expect(loadOf(workload, 2, SPEED)).toBeCloseTo((102.4 + 60) / 2000, 9);
  });

  it("is none of requests at one time", () => {
    expect(() => loadOf({ name: "one", about: "", asks: asks.slice(0, 1) }, 2, SPEED)).toThrow("different times");
  });
});

describe("a public trace", () => {
  it("is read in the order of its times, with a token at least for each answer", async () => {
    const { name, asks } = await traceOf(line(2000, 600, [1, 3]), line(0, 512, [1], 0), "");
    expect(name).toBe("some");
    expect(asks).toEqual([
      { atMs: 0, tokens: 512, outputTokens: 1, blocks: [1] },
      { atMs: 2000, tokens: 600, outputTokens: 10, blocks: [1, 3] },
    ]);
  });

  it.each([
    { about: "no JSON", text: "{", says: /some\.jsonl:2 is no line of a trace/ },
    { about: "not all fields", text: '{"timestamp": 1}', says: /some\.jsonl:2 is no line/ },
    { about: "another size of blocks", text: line(1, 512, [1, 2]), says: /some\.jsonl:2 is no line/ },
  ])("that has $about is refused with the line", async ({ text, says }) => {
    await expect(traceOf(line(0, 512, [1]), text)).rejects.toThrow(says);
  });

  it("that is empty is refused", async () => {
    await expect(traceOf("")).rejects.toThrow("is empty");
  });
});

it("gives the sim engine the speed of the virtual replicas", () => {
  const { knobs, ...options } = readServeOptions(["serve", "m", ...flagsOf({ ...SPEED, blocks: 600 })], {});
  expect(knobs).toMatchObject({
    prefillMsPerToken: 0.1,
    decodeMsPerToken: 12,
    decodeMsPerSequence: 0.3,
    cacheBlocks: 600,
  });
  expect(options).toMatchObject({ maxBatchedTokens: 8192, maxSequences: 256, blockSize: 512 });
});
