// What the control plane needs of a runtime. Drivers are dumb: they start, stop, observe and tell the truth; they never
// restart, retry a start or decide. A new runtime is one file that makes `test/contract` green.
import type { LaunchSpec, RuntimeName } from "../catalog/launch-spec.ts";

/** One accelerator that replicas can be placed on. */
export interface Gpu {
  /** Stable identity: the PCI address ("0000:c1:00.0"), never an index. */
  readonly id: string;
  readonly vendor: "amd" | "nvidia" | "none";
  /** Marketing name as recipes write it in `hardware`, e.g. "MI300X". */
  readonly product: string;
  readonly arch?: string;
  readonly memoryBytes: number;
  readonly usedBytes?: number;
}

/** Names a replica in its runtime. `id` is the runtime's own (container id, "pid:start time"). */
export interface BackendRef {
  readonly id: string;
  readonly name: string;
}

/** What a start is doing, as far as the driver can see. */
export type StartPhase =
  | { readonly kind: "pulling"; readonly doneBytes: number; readonly totalBytes: number | undefined }
  | { readonly kind: "creating" }
  | { readonly kind: "started"; readonly ref: BackendRef; readonly address: URL };

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
}

export interface LogOptions {
  /** Keep the iteration open and yield new lines until the replica is gone or the signal aborts. */
  readonly follow: boolean;
  /** How many of the last lines to begin with. */
  readonly tail: number;
}

export interface ReplicaStats {
  readonly memoryBytes: number;
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
  watch(onHint: () => void, signal: AbortSignal): void;
  /** Its output, oldest line first. Ends when the replica is gone. */
  logs(ref: BackendRef, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine>;
  stats(ref: BackendRef, signal: AbortSignal): Promise<ReplicaStats>;
  /** Lets go of sockets and watchers; replicas keep running. */
  close(): Promise<void>;
}
