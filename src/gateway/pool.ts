// What the data plane needs of the control plane. Nothing here knows what a container is.
import type { ModelId } from "../catalog/recipe.ts";
import type { Span } from "./scan.ts";

export interface ReplicaPool {
  /** One slot on a replica that is ready and has room; undefined where there is none. The warm path: synchronous. */
  tryAcquire(model: ModelId, hints: RequestHints): Lease | undefined;
  /**
   * One slot on a replica of the model, be it that a cold start or a freed slot brings it.
   * Rejects with an `AimError` when it cannot be had, and with the signal's reason when that aborts first.
   */
  acquire(model: ModelId, hints: RequestHints, signal: AbortSignal): Promise<Lease>;
  /** What a waiter of this model is waiting for, as a short phrase: "loading weights 62%, about 40 s left". */
  describeWait(model: ModelId): string;
  /** Whether no replica of the model serves: whoever waits for it waits for a start. */
  isColdStart(model: ModelId): boolean;
  /** When it is worth asking again for a model that is not ready, in ms. */
  retryAfterMs(model: ModelId): number;
}

export interface RequestHints {
  readonly requestId: string;
  /** Size of the request body, for the bound on what waiters may hold. */
  readonly bodyBytes: number;
  /** Whose request it is, by the name of the API key; absent where there are no keys. */
  readonly client?: string | undefined;
  /** How many requests of this client are served in its turn; 1 when absent. */
  readonly weight?: number | undefined;
  /** `normal` when absent. */
  readonly priority?: Priority | undefined;
  /** Whether a replica may be started or woken for it; true when absent. */
  readonly mayStart?: boolean | undefined;
  /** Idle time before unload that it asks for, in ms; absent: nothing changes. */
  readonly keepAliveMs?: number | undefined;
  /** What the engine will have to read; absent where nothing is known of it. */
  readonly prompt?: Prompt;
  /** Whether its answer begins before it is whole, so that its first byte says that the prompt has been read. */
  readonly stream?: boolean;
  /** Requests of one session are best served by one replica. */
  readonly session?: string | undefined;
}

/** The bytes of a request that decide what an engine has to compute, and what it may have in its cache already. */
export interface Prompt {
  readonly body: Buffer;
  /** In the order in which engines put them together: `tools`, then `messages`, `prompt` or `input`. */
  readonly spans: readonly Span[];
}

export const PRIORITIES = ["high", "normal", "low"] as const;
export type Priority = (typeof PRIORITIES)[number];

/** The right to one request on one replica. */
export interface Lease {
  readonly replica: string;
  readonly address: URL;
  /** Whether the model had to be started for it. */
  readonly coldStart: boolean;
  /** The answer has begun: the prompt is read, and waits there no more. Idempotent. */
  firstByte(): void;
  /** What became of the request, so that a dead replica is noticed at once. */
  report(outcome: Outcome): void;
  /** Idempotent. */
  release(): void;
}

export type Outcome =
  | { readonly kind: "completed" }
  | { readonly kind: "client_gone" }
  /** No connection could be made: nothing was sent, any replica may be tried. */
  | { readonly kind: "unreachable"; readonly error: Error }
  /** The connection ended after the request had been sent, before the answer was whole. */
  | { readonly kind: "broken"; readonly error: Error }
  /** It was silent for longer than the request's limits allow. */
  | { readonly kind: "timeout"; readonly error: Error }
  /** It answered with what no model server says: garbage, a redirect, a page. */
  | { readonly kind: "bad_answer"; readonly error: Error };

/** The models clients can name, answered from memory whatever is running. */
export interface ModelDirectory {
  list(): readonly ModelCard[];
  /** By model id or alias. */
  find(name: string): ModelCard | undefined;
}

export type ModelStatus = "cold" | "starting" | "ready" | "sleeping" | "failed" | "unavailable";

export interface ModelCard {
  readonly id: ModelId;
  readonly aliases: readonly string[];
  readonly status: ModelStatus;
  /** Why it failed or is unavailable; in words for API clients (no paths, no addresses). */
  readonly reason?: string;
  /** Seconds since the Unix epoch at which the recipe was read. */
  readonly createdAt: number;
  readonly maxModelLen?: number;
}
