// How fast a replica is, for the virtual ones and for the real processes of the sim engine alike.

/** One replica: what `flagsOf` makes the sim engine, and the virtual replica by itself. */
export interface Speed {
  readonly prefillMsPerToken: number;
  /** A step that gives each running sequence a token, and what each of them adds to it. */
  readonly decodeMsPerToken: number;
  readonly decodeMsPerSequence: number;
  /** Tokens that one step may compute. */
  readonly maxBatchedTokens: number;
  readonly maxSequences: number;
  /** Of its KV cache. */
  readonly blocks: number;
}

/** Tokens per block of the KV cache: as in the public traces. */
export const BLOCK_TOKENS = 512;
/** As a gateway reckons that has no tokenizer. */
export const BYTES_PER_TOKEN = 4;

/** A model of some 30 billion parameters on one big GPU: 10,000 tokens of a prompt in a second. */
export const SPEED: Speed = {
  prefillMsPerToken: 0.1,
  decodeMsPerToken: 12,
  decodeMsPerSequence: 0.3,
  maxBatchedTokens: 8192,
  maxSequences: 256,
  blocks: 2000,
};

/** The flags that give a process of the sim engine this speed. */
export function flagsOf(speed: Speed): string[] {
  return [
    ["--sim-prefill-ms-per-token", speed.prefillMsPerToken],
    ["--sim-decode-ms-per-token", speed.decodeMsPerToken],
    ["--sim-decode-ms-per-sequence", speed.decodeMsPerSequence],
    ["--max-num-batched-tokens", speed.maxBatchedTokens],
    ["--max-num-seqs", speed.maxSequences],
    ["--sim-cache-blocks", speed.blocks],
    ["--block-size", BLOCK_TOKENS],
  ].flatMap(([flag, value]) => [String(flag), String(value)]);
}
