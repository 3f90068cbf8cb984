import { describe, expect, it } from "vitest";
import { parseProgress } from "../../src/runtime/progress.ts";
import { readServeOptions } from "../../src/sim/flags.ts";
import { load } from "../../src/sim/load.ts";
import { Log } from "../../src/sim/log.ts";
import { FakeClock } from "../support/clock.ts";

describe("parseProgress", () => {
  it.each([
    [
      "(EngineCore pid=99) Loading safetensors checkpoint shards:  25% Completed | 1/4 [00:01<00:03,  1.2s/it]",
      "weights",
      25,
      "loading weights",
    ],
    [
      "(Worker_TP3 pid=7) Loading pt checkpoint shards: 100% Completed | 2/2 [00:01<00:00,  1.2s/it]",
      "weights",
      100,
      "loading weights",
    ],
    ["Multi-thread loading shards:  50% Completed | 1/2", "weights", 50, "loading weights"],
    ["Fetching 14 files:   7%|▋         | 1/14 [00:10<02:11, 10.1s/it]", "weights", 7, "downloading weights"],
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
      "capturing graphs",
    ],
    ["Capturing CUDA graph shapes:   5%|▌         | 1/20", "graphs", 5, "capturing graphs"],
    ["INFO Graph capturing finished in 15 secs, took 0.58 GiB", "warm-up", undefined, "graphs captured"],
    [
      "INFO init engine (profile, create kv cache, warmup model) took 153.41 seconds",
      "warm-up",
      undefined,
      "engine initialised",
    ],
    ["(APIServer pid=1) INFO:     Application startup complete.", "warm-up", undefined, "server started"],
    ["INFO [model.py:547] Resolved architecture: Qwen3ForCausalLM", "weights", undefined, "reading the model's files"],
    [
      "INFO [weight_utils.py:392] Time spent downloading weights for m: 61.2 seconds",
      "weights",
      undefined,
      "weights downloaded",
    ],
    [
      "[aiter] start build [module_rmsnorm] under /usr/local/lib/python3.12/dist-packages/aiter/jit/build/module_rmsnorm",
      "compile",
      undefined,
      "compiling kernel rmsnorm",
    ],
    ["[aiter] finish build [module_moe_asm], cost 34.80803808s", "compile", undefined, "compiled kernel moe_asm"],
    ["INFO [backends.py:559] Dynamo bytecode transform time: 5.35 s", "compile", undefined, "compiling"],
    ["DeepGEMM warmup:  33%|███       | 5/15 [00:10<00:20]", "warm-up", 33, "warming up kernels"],
    ["Capturing batches (bs=64 avail_mem=20.1 GB):  50%|█████     | 4/8", "graphs", 50, "capturing graphs"],
  ] as const)("reads %j", (line, phase, percent, text) => {
    expect(parseProgress(line)).toMatchObject({ phase, text });
    expect(parseProgress(line)?.percent).toBe(percent);
  });

  it("sees through colours and takes what a progress bar showed last", () => {
    const line =
      "\u001b[0;36m(EngineCore pid=9)\u001b[0;0m \rCapturing CUDA graphs:  10%|█  \rCapturing CUDA graphs:  20%|██ \r";
    expect(parseProgress(line)?.percent).toBe(20);
  });

  it.each([
    ["(Worker_TP3 pid=7) Loading pt checkpoint shards: 100% Completed | 2/2", "Worker_TP3"],
    ["(VllmWorker rank=2 pid=7) Loading pt checkpoint shards: 50% Completed | 1/2", "VllmWorker rank=2"],
    ["\u001b[0;36m(EngineCore_DP1 pid=99)\u001b[0;0m INFO Starting to load model m...", "EngineCore_DP1"],
    ["Loading pt checkpoint shards: 50% Completed | 1/2", undefined],
  ])("tells who says so: %j", (line, worker) => {
    expect(parseProgress(line)?.worker).toBe(worker);
  });

  it("sees bytes flow into a file, though nobody knows how many are left", () => {
    const at = (percent: number) =>
      `model-00001-of-00017.safetensors:  ${percent}%|████▌     | 2.2G/4.9G [00:20<00:24]`;
    const [earlier, later] = [parseProgress(at(45)), parseProgress(at(46))];
    expect([earlier?.text, earlier?.percent]).toEqual(["downloading weights", undefined]);
    expect(earlier?.detail).not.toBe(later?.detail);
  });

  it.each([
    "",
    'INFO: 172.17.0.1:1234 - "GET /health HTTP/1.1" 200 OK',
    "WARNING Unknown vLLM environment variable detected: VLLM_USE_BF16",
    "the model said: 100% sure",
  ])("takes no other line for progress: %j", (line) => {
    expect(parseProgress(line)).toBeUndefined();
  });

  it("follows a whole load of an engine with several processes", async () => {
    let log = "";
    const note = (text: string) => void (log += text);
    const clock = new FakeClock();
    const options = readServeOptions(["serve", "m", "--sim-load-seconds=0", "--tensor-parallel-size=4"], {});
    await load(options, new Log({ out: note, err: note }, clock), clock, new AbortController().signal);
    const steps = log.split(/[\r\n]/).flatMap((line) => parseProgress(line) ?? []);
    const phases = steps.map(({ phase }) => phase).filter((phase, index, all) => phase !== all[index - 1]);
    expect(phases).toEqual(["weights", "compile", "graphs", "warm-up"]);
    expect(new Set(steps.map(({ worker }) => worker))).toContain("Worker_TP3");
    const percents = steps.flatMap(({ text, percent }) => (text === "loading weights" ? (percent ?? []) : []));
    expect(percents).toEqual([0, 25, 50, 75, 100]);
  });
});
