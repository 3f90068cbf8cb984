// Reads a public trace: one JSON object a line, as the Mooncake paper publishes them.
import { glob, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { BLOCK_TOKENS } from "./speed.ts";
import type { Ask, Workload } from "./workload.ts";

/** Beside the checkout: they are not ours to publish. docs/performance.md says where they are found. */
const TRACES = join(import.meta.dirname, "../../../shared/traces");

/** The public traces that lie beside the checkout; none where there are none. */
export async function tracesBeside(): Promise<string[]> {
  const files: string[] = [];
  for await (const file of glob(join(TRACES, "*.jsonl"))) files.push(file);
  return files.toSorted();
}

const Line = z.object({
  timestamp: z.number().nonnegative(),
  input_length: z.int().positive(),
  output_length: z.int().nonnegative(),
  hash_ids: z.array(z.int().nonnegative()),
});

/** Throws with the file and the line when it is no such trace. */
export async function readTrace(file: string): Promise<Workload> {
  const lines = (await readFile(file, "utf8")).split("\n").filter((line) => line.trim() !== "");
  if (lines.length === 0) throw new Error(`${file} is empty`);
  const asks = lines.map((line, index) => readLine(line, `${file}:${index + 1}`));
  const name = basename(file, ".jsonl");
  return { name, about: `${asks.length} requests of a public trace`, asks: asks.toSorted((a, b) => a.atMs - b.atMs) };
}

function readLine(line: string, where: string): Ask {
  try {
    const { timestamp, input_length, output_length, hash_ids } = Line.parse(JSON.parse(line));
    if (hash_ids.length !== Math.ceil(input_length / BLOCK_TOKENS))
      throw new Error(`${hash_ids.length} hash_ids for ${input_length} tokens, not one per ${BLOCK_TOKENS}`);
    // An engine says at least one token, be it that the answer is over.
    return { atMs: timestamp, tokens: input_length, outputTokens: Math.max(1, output_length), blocks: hash_ids };
  } catch (cause) {
    throw new Error(`${where} is no line of a trace (timestamp, input_length, output_length, hash_ids)`, { cause });
  }
}
