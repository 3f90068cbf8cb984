import { describe, expect, it } from "vitest";
import { maskSecrets } from "../../src/lib/secrets.ts";

// Put together here, so that nobody takes them for real ones.
const HF = ["hf", "AbCdEfGhIjKlMnOpQrStUvWxYz"].join("_");
const OPENAI = ["sk", "proj", "abcdefgh12345678"].join("-");

describe("masking secrets", () => {
  it.each([
    [`huggingface_hub: using token ${HF} from env`, "huggingface_hub: using token hf_*** from env"],
    [`Incorrect API key provided: ${OPENAI}.`, "Incorrect API key provided: sk-***."],
    [`{'Authorization': 'Bearer ${HF}'}`, "{'Authorization': 'Bearer hf_***'}"],
    ["authorization: Bearer abc.def-ghi=", "authorization: Bearer ***"],
    ["HF_TOKEN=verysecretvalue", "HF_TOKEN=***"],
    ["args: Namespace(api_key=['topsecretkey'], port=8000)", "args: Namespace(api_key=['***'], port=8000)"],
    ["{'api_key': 'topsecretkey', 'port': 1}", "{'api_key': '***', 'port': 1}"],
    ["vllm serve m --api-key topsecretkey --port 1", "vllm serve m --api-key *** --port 1"],
    ["cannot reach https://me:hunter2@proxy.example:3128/", "cannot reach https://***@proxy.example:3128/"],
  ])("in %j", (text, masked) => {
    expect(maskSecrets(text)).toBe(masked);
  });

  it.each([
    "max_token: 4096, api_key=None",
    "GPU KV cache size: 300,000 tokens",
    "Supported tokenizers: hf_x, slow",
    "INFO 11-23 11:11:17 [gpu_model_runner.py:2338] Starting to load model Qwen/Qwen3-32B...",
  ])("leaves %j as it is", (text) => {
    expect(maskSecrets(text)).toBe(text);
  });

  it("takes no time for long lines", () => {
    const line = `${"token ".repeat(20_000)}${"a-".repeat(50_000)}`;
    const began = performance.now();
    maskSecrets(line);
    expect(performance.now() - began).toBeLessThan(1_000);
  });
});
