// Everything the gateway is given from outside: the control plane as it sees it, and the settings of its waits.
import type { Hono } from "hono";
import type { ModelId, Timeouts } from "../catalog/recipe.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { ApiKey } from "./keys.ts";
import type { ModelDirectory, ReplicaPool } from "./pool.ts";

export interface GatewayDeps {
  readonly pool: ReplicaPool;
  readonly directory: ModelDirectory;
  /** The model behind a name that clients use; undefined when there is none. */
  resolve(name: string): ResolvedModel | undefined;
  /** The known name most like this one, for messages. */
  nearest(name: string): string | undefined;
  /** Serves /api/*, /health/* and /metrics under their full paths; absent: they are served elsewhere. */
  readonly admin?: Hono;
  /** Empty: everyone may ask. */
  readonly keys: readonly ApiKey[];
  /** Host names that requests may be addressed to; absent: any. See `loopbackHosts`. */
  readonly allowedHosts: readonly string[] | undefined;
  readonly settings: GatewaySettings;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Aborts when the gateway begins to go down: requests under way finish, new ones are refused. */
  readonly draining: AbortSignal;
  /** Aborts when those under way have had their time: each is ended as a failure that its client can tell from success. */
  readonly cutting: AbortSignal;
}

export interface ResolvedModel {
  readonly model: ModelId;
  /** The limits of its requests; absent: those of the settings. */
  readonly timeouts?: Timeouts;
}

export interface GatewaySettings extends Timeouts {
  readonly maxBodyBytes: number;
  /** Longest wait for a replica of a request that is not streamed. */
  readonly maxHoldMs: number;
  /** Longest wait for a replica of a streamed request, which is told meanwhile what it waits for. */
  readonly maxStreamHoldMs: number;
  /** How soon a waiting stream hears the first comment. */
  readonly firstHeartbeatMs: number;
  /** Longest pause between further comments. */
  readonly heartbeatMs: number;
  /** How often to look whether there is something new to say. */
  readonly progressMs: number;
  /** How long an unused connection to a backend is kept: less than the backends keep theirs. */
  readonly upstreamIdleMs: number;
}
