// What the admin API needs of the control plane, and the shapes it answers with (also what the CLI prints as JSON).

export interface ControlView {
  models(): readonly ModelView[];
  recipes(): { readonly recipes: readonly RecipeView[]; readonly problems: readonly RecipeProblem[] };
  replicas(): readonly ReplicaView[];
  gpus(): readonly GpuView[];
  runtimes(): readonly RuntimeView[];
  /** Ensures that a replica as asked for exists; resolves when its start has begun, or with the one there is. Throws `AimError`. */
  launch(request: LaunchRequest, signal: AbortSignal): Promise<LaunchResult>;
  /** Stops a replica by name, or every replica of a model by model id or alias. Resolves when they are gone. */
  stop(name: string, options: StopRequest, signal: AbortSignal): Promise<readonly ReplicaView[]>;
  /** What a launch, or a request, of this kind would do now, and why. Changes nothing. Throws `AimError` for names that are unknown. */
  explain(request: LaunchRequest): ExplanationView;
  /** Stops it and starts it again with the same recipe, profile and flags; on any suitable GPUs. */
  restart(name: string, options: StopRequest, signal: AbortSignal): Promise<LaunchResult>;
  /** Keeps a replica by name, or every replica of a model, from being evicted or unloaded for being idle; or no longer. */
  pin(name: string, pinned: boolean): readonly ReplicaView[];
  /** Removes what is kept of replicas that no longer run: their logs, and the memory of a failed start. `force` stops them first. */
  remove(name: string, options: StopRequest, signal: AbortSignal): Promise<readonly string[]>;
  /** Fetches the image of a model, or an image by its name. Throws `AimError` before the first value when neither is known. */
  pull(name: string, signal: AbortSignal): AsyncIterable<PullView>;
  stats(signal: AbortSignal): Promise<readonly StatsView[]>;
  /** Everything known about a replica, by name; or about a model or recipe. */
  show(name: string): ShowView;
  /** Ends the quarantine of a GPU: what is in use on it now counts as its usual amount. */
  releaseGpu(id: string): GpuView;
  /** What could keep replicas from running well on this machine. */
  examine(signal: AbortSignal): Promise<readonly CheckView[]>;
  logs(
    name: string,
    options: { readonly follow: boolean; readonly tail: number },
    signal: AbortSignal,
  ): AsyncIterable<{ readonly text: string }>;
  /** Empty when requests can be served. */
  problems(): readonly string[];
}

export interface LaunchRequest {
  readonly model: string;
  readonly recipe?: string;
  readonly gpus?: number;
  readonly precision?: string;
  readonly engine?: string;
  /** Idle time before unload in ms; Infinity for never. */
  readonly keepAliveMs?: number;
  /** How many replicas there should be at least; 1 when absent. */
  readonly replicas?: number;
  /** These GPUs and no others: ids, or the numbers that `GET /api/gpus` gives them. */
  readonly on?: readonly string[];
  /** What the replica is to be called; chosen when absent. */
  readonly name?: string;
  /** Engine flags beside those of the recipe, which they override. */
  readonly flags?: readonly string[];
  /** Neither to be stopped to make room for others nor unloaded for being idle. */
  readonly pinned?: boolean;
}

export interface LaunchResult {
  readonly replica: ReplicaView;
  /** All that were asked for; the first one is `replica`. */
  readonly replicas: readonly ReplicaView[];
  /** False when such a replica was there already. */
  readonly created: boolean;
  /** Why this recipe, profile and these GPUs. */
  readonly reasons: readonly string[];
}

export interface ExplanationView {
  readonly model: string;
  /**
   * `serves`: a replica is there (or coming up); `wakes`: one that sleeps is woken; `starts`: at once, on free GPUs; `evicts`:
   * after stopping others or putting them to sleep; `waits`: `why` says for what; `refused`: it cannot be had, `reasons` says why.
   */
  readonly verdict: "serves" | "wakes" | "starts" | "evicts" | "waits" | "refused";
  /** The word for why, as events and metrics have it: "requests" of a start, "resident" of a wait, the error code of a refusal. */
  readonly why?: string;
  /** One sentence. */
  readonly summary: string;
  readonly recipe?: string;
  readonly profile?: string;
  readonly runtime?: string;
  readonly image?: string;
  /** The command line, program first. */
  readonly argv?: readonly string[];
  /** GPUs it would get; empty when it needs none, or must wait for some. */
  readonly gpus: readonly string[];
  readonly evicts: readonly { readonly replica: string; readonly reason: string }[];
  /** Why this recipe and profile, why not the others, why these GPUs. */
  readonly reasons: readonly string[];
}

/** Progress of a pull, then one `done`. A failure is thrown. */
export type PullView =
  | {
      readonly kind: "progress";
      readonly image: string;
      readonly doneBytes: number;
      readonly totalBytes?: number;
      readonly layers: readonly {
        readonly id: string;
        readonly status: string;
        readonly doneBytes: number;
        readonly totalBytes?: number;
      }[];
    }
  | { readonly kind: "done"; readonly image: string };

export interface StatsView {
  readonly replica: string;
  readonly model: string;
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
  readonly memoryLimitBytes?: number;
  /** Of all its GPUs; absent where it cannot be read. */
  readonly gpuMemoryBytes?: number;
  readonly gpuMemoryTotalBytes: number;
  readonly inFlight: number;
  /** When it was measured, ISO 8601. */
  readonly time: string;
  /** Instead of the figures, where the runtime could not tell. */
  readonly problem?: string;
}

export type ShowView =
  | { readonly kind: "replica"; readonly replica: ReplicaView; readonly details: ReplicaDetails }
  | { readonly kind: "model"; readonly model: ModelView; readonly recipes: readonly RecipeDetails[] };

export interface ReplicaDetails {
  readonly image?: string;
  readonly imageId?: string;
  readonly argv: readonly string[];
  /** Values of names that look like secrets are left out. */
  readonly env: Readonly<Record<string, string>>;
  readonly mounts: readonly string[];
  /** Seconds spent in each phase of its start so far. */
  readonly phases: readonly { readonly phase: string; readonly seconds: number }[];
  readonly logFile?: string;
}

export interface RecipeDetails extends RecipeView {
  readonly image?: string;
  /** The command line of each profile, by profile. */
  readonly argv: Readonly<Record<string, readonly string[]>>;
}

export interface CheckView {
  readonly name: string;
  readonly status: "ok" | "warning" | "problem";
  readonly found: string;
  readonly fix?: string;
}

export interface StopRequest {
  /** Cut requests in flight instead of letting them finish. */
  readonly force: boolean;
}

export interface ModelView {
  readonly model: string;
  readonly aliases: readonly string[];
  readonly status: "cold" | "starting" | "ready" | "sleeping" | "failed" | "unavailable";
  /** Why it cannot be had, or what it waits for. */
  readonly reason?: string;
  /** Until it serves, where that can be told: while it starts, wakes up, or waits for GPUs. */
  readonly etaSeconds?: number;
  /** Where it failed: the last lines of that start, whose replica is gone. */
  readonly lastLines?: readonly string[];
  readonly recipes: readonly string[];
  readonly replicas: number;
  readonly inFlight: number;
  readonly waiting: number;
}

export interface RecipeView {
  readonly id: string;
  readonly model: string;
  readonly aliases: readonly string[];
  readonly engine: string;
  readonly runtime: string;
  readonly precision?: string;
  readonly hardware: readonly string[];
  readonly profiles: readonly { readonly id: string; readonly gpus: number; readonly default: boolean }[];
  readonly file: string;
  /** What was changed to make a file of another format run. */
  readonly notes?: readonly string[];
}

/** A recipe file that could not be used. */
export interface RecipeProblem {
  readonly file: string;
  readonly message: string;
}

export interface ReplicaView {
  readonly name: string;
  readonly model: string;
  readonly recipe: string;
  readonly profile: string;
  readonly runtime: string;
  readonly state: string;
  /** Why it is in this state, or what it is doing: "loading weights 62%". */
  readonly reason: string;
  readonly gpus: readonly string[];
  readonly inFlight: number;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly readyAt?: string;
  /** When it will be put to sleep if nothing comes; absent where it is not, and while it is busy or asleep. */
  readonly sleepsAt?: string;
  /** When it will be unloaded if nothing comes; "forever" when never; absent while it is busy or coming up. */
  readonly idleUntil?: string;
  /** Idle time before unload; absent: for ever. */
  readonly keepAliveSeconds?: number;
  /** Neither evicted nor unloaded for being idle. */
  readonly pinned?: true;
  /** The runtime's own id: container id or process id. */
  readonly backend?: string;
  readonly address?: string;
  /** Share of each of its GPUs; absent: the whole of them. */
  readonly gpuShare?: number;
  /** While it sleeps: 1 keeps the weights in the host's memory, 2 drops them. */
  readonly sleepLevel?: 1 | 2;
  /** While it starts or wakes up: seconds until it is ready, learned from earlier times. */
  readonly etaSeconds?: number;
  /** Engine flags that its launch added. */
  readonly flags?: readonly string[];
  /** While it pulls: the state of each layer. */
  readonly pull?: Extract<PullView, { kind: "progress" }>;
}

export interface GpuView {
  readonly id: string;
  /** Its place in the list, from 0: a short name for people, valid until the machine's GPUs change. */
  readonly number: number;
  readonly runtime: string;
  readonly product: string;
  readonly arch?: string;
  /** "CPX/NPS4" */
  readonly partition?: string;
  readonly numaNode?: number;
  /**
   * `recovering`: given back, its memory is not free yet; `quarantined`: it did not come back; `foreign`: in use by
   * somebody else; `unusable`: it cannot be read or opened.
   */
  readonly status: "free" | "held" | "recovering" | "quarantined" | "foreign" | "unusable";
  /** Why, where it is neither free nor held. */
  readonly reason?: string;
  readonly memoryBytes: number;
  readonly usedBytes?: number;
  /** Name of the replica that holds it, of several the one that is awake; absent when free. */
  readonly replica?: string;
  readonly model?: string;
  /** All that are on it: more than one where they share it, or where some sleep. */
  readonly holders: readonly GpuHolder[];
}

export interface GpuHolder {
  readonly replica: string;
  readonly model: string;
  readonly state: string;
  /** Share of the GPU that it has while it is awake; 1: the whole of it. */
  readonly share: number;
}

export interface RuntimeView {
  readonly name: string;
  readonly available: boolean;
  readonly reason?: string;
}
