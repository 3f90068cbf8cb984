import { describe, expect, it } from "vitest";
import { classifyFailure, parseProgress } from "../../src/runtime/progress.ts";

describe("parseProgress", () => {
  it.each([
    [
      "(EngineCore pid=99) Loading safetensors checkpoint shards:  25% Completed | 1/4 [00:01<00:03,  1.2s/it]",
      "weights",
      25,
      "loading weights 25%",
    ],
    [
      "(Worker_TP3 pid=7) Loading pt checkpoint shards: 100% Completed | 2/2 [00:01<00:00,  1.2s/it]",
      "weights",
      100,
      "loading weights 100%",
    ],
    ["Multi-thread loading shards:  50% Completed | 1/2", "weights", 50, "loading weights 50%"],
    ["Fetching 14 files:   7%|▋         | 1/14 [00:10<02:11, 10.1s/it]", "weights", 7, "downloading weights 7%"],
    [
      "INFO 11-23 11:11:17 [gpu_model_runner.py:2338] Starting to load model Qwen/Qwen3-32B...",
      "weights",
      undefined,
      "loading weights",
    ],
    [
      "INFO [gpu_model_runner.py:2392] Model loading took 13.72 GiB memory and 62.336108 seconds",
      "weights",
      undefined,
      "weights loaded",
    ],
    ["INFO Model loading took 13.72 GiB and 1.2 seconds", "weights", undefined, "weights loaded"],
    [
      "INFO Using cache directory: /root/.cache/vllm/torch_compile_cache/5e9f/rank_0_0 for vLLM's torch.compile",
      "compile",
      undefined,
      "compiling",
    ],
    ["INFO torch.compile takes 30.7 s in total", "compile", undefined, "compiled"],
    ["INFO Available KV cache memory: 36.56 GiB", "graphs", undefined, "preparing the KV cache"],
    ["INFO GPU KV cache size: 300,000 tokens", "graphs", undefined, "preparing the KV cache"],
    [
      "Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  45%|████▌     | 9/20 [00:01<00:01]",
      "graphs",
      45,
      "capturing graphs 45%",
    ],
    ["Capturing CUDA graph shapes:   5%|▌         | 1/20", "graphs", 5, "capturing graphs 5%"],
    ["INFO Graph capturing finished in 15 secs, took 0.58 GiB", "warm-up", undefined, "graphs captured"],
    [
      "INFO init engine (profile, create kv cache, warmup model) took 153.41 seconds",
      "warm-up",
      undefined,
      "engine initialised",
    ],
    ["(APIServer pid=1) INFO:     Application startup complete.", "ready", undefined, "server started"],
  ] as const)("reads %j", (line, phase, percent, text) => {
    expect(parseProgress(line)).toEqual({ phase, text, ...(percent === undefined ? {} : { percent }) });
  });

  it("sees through colours and takes what a progress bar showed last", () => {
    const line =
      "\u001b[0;36m(EngineCore pid=9)\u001b[0;0m \rCapturing CUDA graphs:  10%|█  \rCapturing CUDA graphs:  20%|██ \r";
    expect(parseProgress(line)?.percent).toBe(20);
  });

  it.each([
    "",
    'INFO: 172.17.0.1:1234 - "GET /health HTTP/1.1" 200 OK',
    "WARNING Unknown vLLM environment variable detected: VLLM_USE_BF16",
    "the model said: 100% sure",
  ])("takes no other line for progress: %j", (line) => {
    expect(parseProgress(line)).toBeUndefined();
  });
});

describe("classifyFailure", () => {
  it.each([
    ["OSError: You are trying to access a gated repo.", "gated_model"],
    [
      "requests.exceptions.HTTPError: 401 Client Error: Unauthorized for url: https://huggingface.co/api",
      "gated_model",
    ],
    ["OSError: [Errno 28] No space left on device", "disk_full"],
    [
      "pull access denied for nobody/nothing, repository does not exist or may require 'docker login'",
      "image_not_found",
    ],
    ["manifest for rocm/vllm:nope not found: manifest unknown: manifest unknown", "image_not_found"],
    ["RuntimeError: No HIP GPUs are available", "no_gpu_access"],
    [
      'error gathering device information while adding custom device "/dev/kfd": no such file or directory',
      "no_gpu_access",
    ],
    ['could not select device driver "" with capabilities: [[gpu]]', "no_gpu_access"],
    ["torch.OutOfMemoryError: HIP out of memory. Tried to allocate 2.00 GiB.", "out_of_memory"],
    [
      "ValueError: Free memory on device cuda:0 (1.2/191.9 GiB) on startup is less than desired GPU memory utilization",
      "out_of_memory",
    ],
    ["ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`", "out_of_memory"],
    [
      "ValueError: The model's max seq len (131072) is larger than the maximum number of tokens that can be stored in KV cache (1024).",
      "out_of_memory",
    ],
    ["vllm serve: error: unrecognized arguments: --tensor-paralel-size 4", "bad_argument"],
    ["vllm serve: error: argument --dtype: invalid choice: 'bf8'", "bad_argument"],
    ['exec: "vlmm": executable file not found in $PATH: unknown', "bad_argument"],
    ["Segmentation fault", "crashed"],
  ])("finds the cause in %j", (line, code) => {
    const noise = [
      "INFO starting",
      `\u001b[31m(EngineCore pid=9) ERROR ${line}\u001b[0m`,
      "EngineCore failed to start.",
    ];
    const failure = classifyFailure(noise, { code: 1, outOfMemory: false });
    expect(failure.code).toBe(code);
    expect(failure.advice).not.toBe("");
  });

  it("believes the kernel before the log", () => {
    const failure = classifyFailure(["unrecognized arguments: --x"], { code: 137, outOfMemory: true });
    expect(failure).toMatchObject({ code: "out_of_memory" });
  });

  it("takes a cause before its consequences", () => {
    const lines = ["OSError: No space left on device", "RuntimeError: No HIP GPUs are available"];
    expect(classifyFailure(lines, undefined).code).toBe("disk_full");
  });

  it.each([
    [{ code: 2, outOfMemory: false }, "bad_argument", "usage error"],
    [{ code: 139, outOfMemory: false }, "crashed", "segmentation fault"],
    [{ code: 137, outOfMemory: false }, "crashed", "SIGKILL"],
    [{ code: undefined, signal: "SIGKILL", outOfMemory: false }, "crashed", "SIGKILL"],
    [{ code: 0, outOfMemory: false }, "crashed", "by itself"],
    [undefined, "crashed", "log lines"],
  ])("falls back on how it ended: %j", (exit, code, advice) => {
    const failure = classifyFailure([], exit);
    expect(failure.code).toBe(code);
    expect(failure.advice).toContain(advice);
  });
});
