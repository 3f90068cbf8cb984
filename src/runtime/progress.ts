// What an engine's log lines mean for people: how far a start has come, and why it failed. For display and
// classification only: the text changes between versions of vLLM, and readiness comes from HTTP.
import { stripVTControlCharacters } from "node:util";
import type { ReplicaExit } from "./driver.ts";

export interface Progress {
  readonly phase: "weights" | "compile" | "graphs" | "warm-up" | "ready";
  readonly percent?: number;
  /** A short phrase: "loading weights 62%". */
  readonly text: string;
}

export type FailureCode =
  | "out_of_memory"
  | "bad_argument"
  | "gated_model"
  | "disk_full"
  | "no_gpu_access"
  | "image_not_found"
  | "crashed";

export interface Failure {
  readonly code: FailureCode;
  /** What an operator can do about it. */
  readonly advice: string;
}

interface Milestone extends Omit<Progress, "percent"> {
  readonly pattern: RegExp;
}

/** Lines that end in a percentage are bars; `$1` is the percentage. */
const BARS: readonly Milestone[] = [
  { pattern: /Fetching \d+ files:\s*(\d+)%/, phase: "weights", text: "downloading weights" },
  { pattern: /(?:checkpoint|loading) shards:\s*(\d+)%/i, phase: "weights", text: "loading weights" },
  { pattern: /Capturing .*?graphs?.*?:\s*(\d+)%/i, phase: "graphs", text: "capturing graphs" },
];

const MILESTONES: readonly Milestone[] = [
  { pattern: /Starting to load model/, phase: "weights", text: "loading weights" },
  { pattern: /Model loading took|Loading weights took/, phase: "weights", text: "weights loaded" },
  { pattern: /torch\.compile takes/, phase: "compile", text: "compiled" },
  { pattern: /torch_compile_cache|for vLLM's torch\.compile/, phase: "compile", text: "compiling" },
  {
    pattern: /Available KV cache memory|GPU KV cache size|Maximum concurrency for/,
    phase: "graphs",
    text: "preparing the KV cache",
  },
  { pattern: /Capturing .*?graphs?/i, phase: "graphs", text: "capturing graphs" },
  { pattern: /Graph capturing finished/, phase: "warm-up", text: "graphs captured" },
  { pattern: /init engine \(.*\) took/, phase: "warm-up", text: "engine initialised" },
  { pattern: /Application startup complete/, phase: "ready", text: "server started" },
];

/** What one line of an engine's log says about its start; undefined for most lines. */
export function parseProgress(line: string): Progress | undefined {
  const text = visible(line);
  for (const bar of BARS) {
    const found = bar.pattern.exec(text);
    if (found === null) continue;
    const percent = Math.min(100, Number(found[1]));
    return { phase: bar.phase, percent, text: `${bar.text} ${percent}%` };
  }
  const milestone = MILESTONES.find((candidate) => candidate.pattern.test(text));
  return milestone === undefined ? undefined : { phase: milestone.phase, text: milestone.text };
}

/** Without colours, and of a line that a progress bar overwrote only what stayed on the screen. */
function visible(line: string): string {
  const segments = stripVTControlCharacters(line).split("\r");
  return segments.findLast((segment) => segment.trim() !== "") ?? "";
}

interface Symptom extends Failure {
  readonly pattern: RegExp;
}

/** The first that matches any line wins: the more specific cause stands before its usual consequences. */
const SYMPTOMS: readonly Symptom[] = [
  {
    code: "gated_model",
    pattern: /gated repo|GatedRepoError|40[13] Client Error|Access to model .* is restricted|Invalid user token/i,
    advice: "accept the model's licence on huggingface.co and put a valid HF_TOKEN under env in config.yaml",
  },
  {
    code: "disk_full",
    pattern: /No space left on device|ENOSPC|Disk quota exceeded/i,
    advice: "free disk space where images and the model cache lie",
  },
  {
    code: "image_not_found",
    pattern:
      /No such image|manifest unknown|manifest for .* not found|pull access denied|repository .* not found|failed to resolve reference|invalid reference format/i,
    advice: "check the recipe's image, or pull it by hand on that machine (after docker login where it is private)",
  },
  {
    code: "no_gpu_access",
    pattern:
      /No (?:HIP|CUDA) GPUs are available|no ROCm-capable device|Unable to open \/dev\/kfd|Failed to infer device type|gathering device information|could not select device driver|hipErrorNoDevice/i,
    advice: "check that /dev/kfd and the GPU's /dev/dri/renderD node exist and that the driver is loaded",
  },
  {
    code: "out_of_memory",
    pattern:
      /No available memory for the cache blocks|larger than the (?:maximum number of tokens|available KV cache)|is larger than .*KV cache/i,
    advice: "the KV cache does not fit: lower --max-model-len, raise --gpu-memory-utilization, or use more GPUs",
  },
  {
    code: "out_of_memory",
    pattern: /Free memory on device .* is less than desired/i,
    advice: "something else holds memory of this GPU: end it, or lower --gpu-memory-utilization",
  },
  {
    code: "out_of_memory",
    pattern: /(?:HIP|CUDA) out of memory|OutOfMemoryError/i,
    advice: "the model does not fit its GPUs: use more of them, a lower precision or a smaller --max-model-len",
  },
  {
    code: "out_of_memory",
    pattern: /Cannot allocate memory|JavaScript heap out of memory|MemoryError/i,
    advice: "the machine ran out of memory: raise the recipe's memory limit",
  },
  {
    code: "bad_argument",
    pattern:
      /unrecognized arguments|invalid choice:|the following arguments are required|expected (?:one|at least one) argument|error: argument|unknown option|executable file not found|validation errors? for/i,
    advice: "correct the recipe's arguments; the last log lines name the one at fault",
  },
];

/** Why a replica failed, from its last log lines and how it ended. */
export function classifyFailure(lines: readonly string[], exit: ReplicaExit | undefined): Failure {
  // The kernel's word goes first: a process killed for memory has no chance to say so.
  if (exit?.outOfMemory === true)
    return { code: "out_of_memory", advice: "it hit its memory limit: raise the recipe's memory limit" };
  const texts = lines.map(visible);
  const symptom = SYMPTOMS.find(({ pattern }) => texts.some((text) => pattern.test(text)));
  if (symptom !== undefined) return { code: symptom.code, advice: symptom.advice };
  if (exit?.code === 2)
    return { code: "bad_argument", advice: "exit code 2 is a usage error: check the recipe's arguments" };
  return { code: "crashed", advice: crashAdvice(exit) };
}

function crashAdvice(exit: ReplicaExit | undefined): string {
  if (exit?.code === 139 || exit?.signal === "SIGSEGV")
    return "segmentation fault: check that the image fits this GPU's architecture and driver";
  if (exit?.code === 137 || exit?.signal === "SIGKILL")
    return "it was killed from outside (SIGKILL): look for the out-of-memory killer or a person";
  if (exit?.code === 0) return "it ended by itself: check the recipe's command";
  return "read its last log lines";
}
