import { describe, expect, it } from "vitest";
import { parseEngineLoad } from "../../src/runtime/engine-load.ts";

const LABELS = '{engine="0",model_name="org/{odd} \\"name\\""}';

function metrics(samples: Readonly<Record<string, number | string>>): string {
  return Object.entries(samples)
    .map(([name, value]) => `# TYPE ${name} gauge\n${name}${LABELS} ${value}`)
    .join("\n");
}

describe("what an engine says about its work", () => {
  it("is its requests and its tokens", () => {
    const text = metrics({
      "vllm:num_requests_running": "2.0",
      "vllm:num_requests_waiting": "3.0",
      "vllm:iteration_tokens_total_sum": 1000,
      "vllm:iteration_tokens_total_count": 50,
    });
    expect(parseEngineLoad(text)).toEqual({ requests: 5, tokens: 1050 });
  });

  it("is summed over the engines of one server", () => {
    const text = `
vllm:num_requests_running{engine="0"} 1.0
vllm:num_requests_running{engine="1"} 2.0
vllm:prompt_tokens_total{engine="0"} 1e3
vllm:prompt_tokens_total{engine="1"} 10
vllm:generation_tokens_total{engine="0"} 5
vllm:generation_tokens_total{engine="1"} 5 1700000000000`;
    expect(parseEngineLoad(text)).toEqual({ requests: 3, tokens: 1020 });
  });

  it("goes by exact names: parts and relatives of a metric are others", () => {
    const text = metrics({
      "vllm:num_requests_running": 1,
      "vllm:num_requests_waiting_by_reason": 7,
      "vllm:num_requests_running_total": 7,
      "vllm:prompt_tokens_total": 10,
      "vllm:prompt_tokens_created": 7,
      "vllm:generation_tokens_total": 1,
    });
    expect(parseEngineLoad(text)).toEqual({ requests: 1, tokens: 11 });
  });

  it("is, too, how many tokens its cache holds, over all engines of the server", () => {
    const work = metrics({ "vllm:num_requests_running": 1, "vllm:iteration_tokens_total_count": 1 });
    const info = (engine: number, blocks: string, caching = "True") =>
      `vllm:cache_config_info{block_size="16",cpu_kvcache_space_bytes="None",enable_prefix_caching="${caching}",engine="${engine}",num_gpu_blocks="${blocks}",num_gpu_blocks_override="7"} 1.0\n`;
    const cacheTokens = (text: string) => parseEngineLoad(`${work}\n${text}`)?.cacheTokens;
    expect(cacheTokens(info(0, "1000"))).toBe(16_000);
    expect(cacheTokens(info(0, "1000") + info(1, "500"))).toBe(24_000);
    expect(cacheTokens(info(0, "1000", "False"))).toBe(0);
    expect(cacheTokens(info(0, "None"))).toBeUndefined();
    expect(cacheTokens("")).toBeUndefined();
  });

  it("is understood of SGLang, too", () => {
    const text = metrics({
      "sglang:num_running_reqs": 1,
      "sglang:num_queue_reqs": 1,
      "sglang:prompt_tokens_total": 3,
      "sglang:generation_tokens_total": 4,
    });
    expect(parseEngineLoad(text)).toEqual({ requests: 2, tokens: 7 });
  });

  it.each([
    ["nothing", ""],
    ["a page", "<html><body>metrics</body></html>"],
    ["tokens, and no requests", metrics({ "vllm:iteration_tokens_total_count": 1 })],
    ["requests, and no tokens", metrics({ "vllm:num_requests_running": 1 })],
    ["half of the tokens", metrics({ "vllm:num_requests_running": 1, "vllm:prompt_tokens_total": 1 })],
    ["no number", metrics({ "vllm:num_requests_running": "NaN", "vllm:iteration_tokens_total_count": 1 })],
  ])("is unknown of one that tells %s", (_, text) => {
    expect(parseEngineLoad(text)).toBeUndefined();
  });
});
