// What the control plane needs of a runtime. Drivers are dumb: they start, stop, observe and tell the truth; they never
// restart, retry a start or decide. A new runtime is one file that makes `test/contract` green.
import type { LaunchSpec, RuntimeName } from "../catalog/launch-spec.ts";

/** One accelerator that replicas can be placed on. */
export interface Gpu {
  /** Stable identity: the PCI address ("0000:c1:00.0"), never an index. */
  readonly id: string;
  readonly vendor: GpuVendor;
  /** Marketing name as recipes write it in `hardware`, e.g. "MI300X". */
  readonly product: string;
  /** "gfx942" */
  readonly arch?: string;
  readonly memoryBytes: number;
  /** In use now, whoever uses it; absent where it cannot be read. */
  readonly usedBytes?: number;
  /** How the card that this is a part of is divided, e.g. "CPX/NPS4"; absent: a whole card. */
  readonly partition?: string;
  readonly numaNode?: number;
  /** GPUs with the same one are linked directly (XGMI). */
  readonly hive?: string;
  /** Why nothing can be placed on it: its device node is missing, it cannot be read. */
  readonly unusable?: string;
  /** Who uses it beside us, as far as the runtime knows: "container other-qwen-1 of installation other". */
  readonly foreign?: string;
}

export type GpuVendor = "amd" | "nvidia" | "none";

/** Names a replica in its runtime. `id` is the runtime's own (container id, "pid:start time"). */
export interface BackendRef {
  readonly id: string;
  readonly name: string;
}

/** What a start is doing, as far as the driver can see. */
export type StartPhase =
  | ({ readonly kind: "pulling" } & PullProgress)
  | { readonly kind: "creating" }
  | { readonly kind: "started"; readonly ref: BackendRef; readonly address: URL };

export interface PullProgress {
  readonly doneBytes: number;
  /** Undefined until the size of every layer is known. */
  readonly totalBytes: number | undefined;
  readonly layers: readonly LayerProgress[];
}

export interface LayerProgress {
  /** The first digits of its digest. */
  readonly id: string;
  /** In Docker's words: "Downloading", "Extracting", "Pull complete", "Retrying in 5 seconds". */
  readonly status: string;
  readonly doneBytes: number;
  readonly totalBytes: number | undefined;
}

/** One replica of ours as it is right now, running or not. */
export interface ObservedReplica {
  readonly ref: BackendRef;
  readonly labels: Readonly<Record<string, string>>;
  /** `created`: made but never started. `unresponsive`: there, but frozen (a paused container, a stopped process). */
  readonly state: "created" | "running" | "unresponsive" | "exited";
  /** Where its HTTP server is or will be; only while it runs. */
  readonly address?: URL;
  /** Milliseconds since the Unix epoch, by the runtime's clock. */
  readonly startedAt?: number;
  /** Milliseconds since the Unix epoch, by the runtime's clock. */
  readonly createdAt?: number;
  /** What it runs, where a tag may have moved on meanwhile: the image's id, "sha256:…". */
  readonly imageId?: string;
  readonly exit?: ReplicaExit;
}

export interface ReplicaExit {
  readonly code: number | undefined;
  readonly signal?: string;
  readonly outOfMemory: boolean;
}

export interface LogLine {
  readonly text: string;
  readonly stream: "stdout" | "stderr";
  /** When it was written, RFC 3339 with nanoseconds, where the runtime keeps it. */
  readonly time?: string;
}

export interface LogOptions {
  /** Keep the iteration open and yield new lines until the replica is gone or the signal aborts. */
  readonly follow: boolean;
  /** How many of the last lines to begin with; Infinity: all there are. */
  readonly tail: number;
  /** Only lines written after this `LogLine.time`. */
  readonly since?: string;
}

/** What may have happened; hints may be lost, and a hint about nothing does no harm. */
export type Hint =
  | { readonly kind: "changed" }
  /** The runtime was away or restarted: what ended meanwhile need not have ended by itself. */
  | { readonly kind: "interrupted" }
  /** A process of this replica was killed for memory; the replica itself may live on. */
  | { readonly kind: "out_of_memory"; readonly id: string };

/** One thing that was looked at, what was found, and what to do about it. */
export interface Check {
  readonly name: string;
  readonly status: "ok" | "warning" | "problem";
  readonly found: string;
  readonly fix?: string;
}

export interface ReplicaStats {
  readonly memoryBytes: number;
  /** Absent: as much as the machine has. */
  readonly memoryLimitBytes?: number;
  /** CPU time used since its start, in seconds. */
  readonly cpuSeconds: number;
}

export interface StopOptions {
  /** How long the replica may take to end by itself before it is killed. */
  readonly graceMs: number;
  /** For logs only. */
  readonly reason: string;
}

export interface RuntimeDriver {
  readonly name: RuntimeName;
  /** Who picks the GPUs: we, or the cluster's scheduler. */
  readonly placement: "gateway" | "runtime";
  /** Rejects with `runtime_unavailable` and a remedy when the runtime cannot be used now. */
  ping(signal: AbortSignal): Promise<void>;
  /** The GPUs replicas can be placed on; empty where placement is "runtime". */
  inventory(signal: AbortSignal): Promise<readonly Gpu[]>;
  /**
   * Starts one replica and resolves when it runs (not: when it is ready). Rejects with `runtime_failed` or
   * `runtime_unavailable`, and then nothing is left running. A replica of that name that already runs from the same
   * spec (same recipe hash) is taken over instead of started twice.
   */
  start(spec: LaunchSpec, observe: (phase: StartPhase) => void, signal: AbortSignal): Promise<BackendRef>;
  /** Ends and removes it. Idempotent: an unknown ref resolves. */
  stop(ref: BackendRef, options: StopOptions, signal: AbortSignal): Promise<void>;
  /** Every replica that bears our installation's label, in any state. */
  list(signal: AbortSignal): Promise<readonly ObservedReplica[]>;
  /** Calls `onHint` when something may have changed, until the signal aborts. Survives reconnects by itself; hints may be lost. */
  watch(onHint: (hint: Hint) => void, signal: AbortSignal): void;
  /** Its output, oldest line first. Ends when the replica is gone. */
  logs(ref: BackendRef, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine>;
  stats(ref: BackendRef, signal: AbortSignal): Promise<ReplicaStats>;
  /** Fetches an image, also one that is there already; rejects as `start` does. Absent where there are no images. */
  pull?(image: string, observe: (progress: PullProgress) => void, signal: AbortSignal): Promise<void>;
  /** Deletes the output that is kept of a replica that no longer runs; says whether there was any. */
  forget?(replica: string, signal: AbortSignal): Promise<boolean>;
  /** Looks for everything on this machine that could keep replicas from running well. Rejects only when the signal aborts. */
  examine?(signal: AbortSignal): Promise<readonly Check[]>;
  /** Lets go of sockets and watchers; replicas keep running. */
  close(): Promise<void>;
}
