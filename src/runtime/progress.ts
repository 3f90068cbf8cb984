// What an engine's log lines say about how far its load has come. For display and for telling silence from work only: the text
// changes between versions of vLLM, and readiness comes from HTTP.
import { visibleText } from "./visible-text.ts";

export interface Progress {
  readonly phase: "weights" | "compile" | "graphs" | "warm-up";
  /** A short phrase without the percentage: "loading weights". */
  readonly text: string;
  readonly percent?: number;
  /** Which of the engine's processes says so: "Worker_TP3". */
  readonly worker?: string;
  /** Differs with each bit of progress that text and percentage do not show. */
  readonly detail?: string;
}

interface Pattern {
  /** A bar's `$1` is its percentage. */
  readonly pattern: RegExp;
  readonly phase: Progress["phase"];
  readonly text: string;
}

const BARS: readonly Pattern[] = [
  { pattern: /Fetching \d+ files:\s*(\d+)%/, phase: "weights", text: "downloading weights" },
  { pattern: /(?:checkpoint|loading) shards:\s*(\d+)%/i, phase: "weights", text: "loading weights" },
  { pattern: /Capturing .*?(?:graphs?|batches).*?:\s*(\d+)%/i, phase: "graphs", text: "capturing graphs" },
  { pattern: /warm-?up[^:%]{0,40}:\s*(\d+)%/i, phase: "warm-up", text: "warming up kernels" },
];

/** Bars of single files say that bytes flow, not how many are left. */
const FILE_BAR = /([\w.-]+\.(?:safetensors|bin|pth?|gguf)|incomplete total\.*\)?):\s*(\d+%[^[]*)/;

/** `$1` of a kernel's line is its module. */
const KERNELS: readonly (readonly [pattern: RegExp, verb: string])[] = [
  [/\[aiter\] start build \[(?:module_)?([\w.]+)\]/, "compiling kernel"],
  [/\[aiter\] finish build \[(?:module_)?([\w.]+)\]/, "compiled kernel"],
];

const MILESTONES: readonly Pattern[] = [
  {
    pattern: /Resolved architecture|Initializing a V\d LLM engine/,
    phase: "weights",
    text: "reading the model's files",
  },
  { pattern: /Starting to load model|Load weight begin|load_tensors: /, phase: "weights", text: "loading weights" },
  { pattern: /Time spent downloading weights/, phase: "weights", text: "weights downloaded" },
  { pattern: /Model loading took|Loading weights took|Load weight end/, phase: "weights", text: "weights loaded" },
  { pattern: /torch\.compile takes/, phase: "compile", text: "compiled" },
  {
    pattern: /torch_compile_cache|for vLLM's torch\.compile|Dynamo bytecode transform|Compiling a graph for/,
    phase: "compile",
    text: "compiling",
  },
  {
    pattern: /Available KV cache memory|GPU KV cache size|Maximum concurrency for|Memory profiling takes/,
    phase: "graphs",
    text: "preparing the KV cache",
  },
  { pattern: /Capturing .*?graphs?|Capture cuda graph begin/i, phase: "graphs", text: "capturing graphs" },
  { pattern: /Graph capturing finished|Capture cuda graph end/i, phase: "warm-up", text: "graphs captured" },
  { pattern: /init engine \(.*\) took/, phase: "warm-up", text: "engine initialised" },
  {
    pattern: /Starting vLLM API server|Application startup complete|server is listening on/,
    phase: "warm-up",
    text: "server started",
  },
];

/** "(Worker_TP0 pid=7)", "(VllmWorker rank=3 pid=7)", "(EngineCore_DP1 pid=7)" */
const WORKER = /\((Worker\w*|VllmWorker rank=\d+|EngineCore\w*|APIServer\w*)(?: pid=\d+)?\)/;

/** What one line of an engine's log says about its load; undefined for most lines. */
export function parseProgress(line: string): Progress | undefined {
  const text = visibleText(line);
  const progress = barIn(text) ?? fileIn(text) ?? kernelIn(text) ?? milestoneIn(text);
  const worker = WORKER.exec(text)?.[1];
  return progress === undefined || worker === undefined ? progress : { ...progress, worker };
}

function barIn(line: string): Progress | undefined {
  for (const { pattern, phase, text } of BARS) {
    const found = pattern.exec(line);
    if (found !== null) return { phase, text, percent: Math.min(100, Number(found[1])) };
  }
  return undefined;
}

function fileIn(line: string): Progress | undefined {
  const found = FILE_BAR.exec(line);
  if (found === null) return undefined;
  return { phase: "weights", text: "downloading weights", detail: `${found[1]} ${found[2]}` };
}

function kernelIn(line: string): Progress | undefined {
  for (const [pattern, verb] of KERNELS) {
    const kernel = pattern.exec(line)?.[1];
    if (kernel !== undefined) return { phase: "compile", text: `${verb} ${kernel}` };
  }
  return undefined;
}

function milestoneIn(line: string): Progress | undefined {
  const milestone = MILESTONES.find(({ pattern }) => pattern.test(line));
  return milestone === undefined ? undefined : { phase: milestone.phase, text: milestone.text };
}
