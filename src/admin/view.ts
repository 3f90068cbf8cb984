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
}

export interface LaunchResult {
  readonly replica: ReplicaView;
  /** False when such a replica was there already. */
  readonly created: boolean;
  /** Why this recipe, profile and these GPUs. */
  readonly reasons: readonly string[];
}

export interface StopRequest {
  /** Cut requests in flight instead of letting them finish. */
  readonly force: boolean;
}

export interface ModelView {
  readonly model: string;
  readonly aliases: readonly string[];
  readonly status: "cold" | "starting" | "ready" | "sleeping" | "failed" | "unavailable";
  readonly reason?: string;
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
  /** When it will be unloaded if nothing comes; "forever" when never; absent while busy or not ready. */
  readonly idleUntil?: string;
  /** The runtime's own id: container id or process id. */
  readonly backend?: string;
  readonly address?: string;
}

export interface GpuView {
  readonly id: string;
  readonly runtime: string;
  readonly product: string;
  readonly memoryBytes: number;
  readonly usedBytes?: number;
  /** Name of the replica that holds it; absent when free. */
  readonly replica?: string;
  readonly model?: string;
}

export interface RuntimeView {
  readonly name: string;
  readonly available: boolean;
  readonly reason?: string;
}
