import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { classifyFailure } from "../../src/runtime/failure.ts";

const CRASH = { code: 1, outOfMemory: false };

/** What an engine said when it failed, whole: the cause is among its usual consequences. */
async function linesOf(name: string): Promise<readonly string[]> {
  const text = await readFile(`${import.meta.dirname}/../fixtures/vllm-failures/${name}.log`, "utf8");
  return text.trimEnd().split("\n");
}

describe("why an engine failed, from what it said", () => {
  it.each([
    ["out-of-memory", "out_of_memory", "--max-model-len"],
    ["kv-cache-too-small", "kv_cache_too_small", "--max-model-len"],
    ["no-cache-blocks", "kv_cache_too_small", "--gpu-memory-utilization"],
    ["gpu-busy", "gpu_busy", "aim-engine gpus"],
    ["invalid-device-function", "wrong_architecture", "image"],
    ["exec-format", "wrong_architecture", "image"],
    ["gated-model", "gated_model", "HF_TOKEN"],
    ["model-not-found", "model_not_found", "correct model"],
    ["no-network", "download_failed", "HTTPS_PROXY"],
    ["download-stalled", "download_failed", "HF_ENDPOINT"],
    ["disk-full", "disk_full", "docker.cache"],
    ["unwritable-cache", "cache_not_writable", "docker.cache"],
    ["shared-memory", "host_out_of_memory", "docker.shm"],
    ["nccl-shared-memory", "host_out_of_memory", "docker.shm"],
    ["offline-out-of-memory", "out_of_memory", "--max-model-len"],
    ["no-gpu", "no_gpu_access", "/dev/kfd"],
    ["unsupported-model", "unsupported_model", "image"],
    ["remote-code", "unsupported_model", "--trust-remote-code"],
    ["bad-argument", "bad_argument", "arguments"],
    ["bad-tensor-parallel", "bad_argument", "arguments"],
    ["crashed", "crashed", "last log lines"],
  ])("%s.log", async (name, code, remedy) => {
    const failure = classifyFailure(await linesOf(name), CRASH);
    expect(failure.code).toBe(code);
    expect(failure.advice).toContain(remedy);
  });

  it.each([
    [
      "requests.exceptions.HTTPError: 401 Client Error: Unauthorized for url: https://huggingface.co/api",
      "gated_model",
    ],
    ["OSError: [Errno 28] No space left on device", "disk_full"],
    ["pull access denied for nobody/x, repository does not exist or may require 'docker login'", "image_not_found"],
    ["manifest for rocm/vllm:nope not found: manifest unknown: manifest unknown", "image_not_found"],
    ["RuntimeError: No HIP GPUs are available", "no_gpu_access"],
    ['error gathering device information while adding custom device "/dev/kfd": no such file', "no_gpu_access"],
    ['could not select device driver "" with capabilities: [[gpu]]', "no_gpu_access"],
    ["HSA_STATUS_ERROR_INVALID_ISA: The instruction set architecture is invalid.", "wrong_architecture"],
    ["no matching manifest for linux/amd64 in the manifest list entries", "wrong_architecture"],
    [
      "ValueError: The model's max seq len (4096) is larger than the maximum number of tokens that can be stored in KV cache (3664).",
      "kv_cache_too_small",
    ],
    ["ValueError: Model architectures ['NewForCausalLM'] are not supported for now.", "unsupported_model"],
    ["vllm serve: error: argument --dtype: invalid choice: 'bf8'", "bad_argument"],
    ['exec: "vlmm": executable file not found in $PATH: unknown', "bad_argument"],
    ["RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory", "host_out_of_memory"],
    ["Segmentation fault", "crashed"],
  ])("%j", (line, code) => {
    const noise = [
      "INFO starting",
      `\u001b[31m(EngineCore pid=9) ERROR ${line}\u001b[0m`,
      "EngineCore failed to start.",
    ];
    expect(classifyFailure(noise, CRASH).code).toBe(code);
  });

  it("takes a cause before its consequences", () => {
    const lines = ["RuntimeError: No HIP GPUs are available", "OSError: No space left on device"];
    expect(classifyFailure(lines, undefined).code).toBe("disk_full");
  });
});

describe("why an engine failed, from how it ended", () => {
  it("believes the kernel before the log", () => {
    const failure = classifyFailure(["unrecognized arguments: --x"], { code: 137, outOfMemory: true });
    expect(failure.code).toBe("host_out_of_memory");
    expect(failure.advice).toContain("raise resources.memory");
  });

  it.each([
    [{ code: 2, outOfMemory: false }, "bad_argument", "usage error"],
    [{ code: 139, outOfMemory: false }, "crashed", "segmentation fault"],
    [{ code: 137, outOfMemory: false }, "crashed", "SIGKILL"],
    [{ code: undefined, signal: "SIGKILL", outOfMemory: false }, "crashed", "SIGKILL"],
    [{ code: 0, outOfMemory: false }, "crashed", "by itself"],
    [undefined, "crashed", "log lines"],
  ])("%j", (exit, code, advice) => {
    const failure = classifyFailure([], exit);
    expect(failure.code).toBe(code);
    expect(failure.advice).toContain(advice);
  });
});
