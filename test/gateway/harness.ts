// A whole gateway on a real socket in front of fake backends, with everything a test may want to look at.
import { Writable } from "node:stream";
import { Hono } from "hono";
import { pino } from "pino";
import { onTestFinished } from "vitest";
import { createApp } from "../../src/gateway/app.ts";
import type { Timeouts } from "../../src/catalog/recipe.ts";
import type { GatewayDeps, GatewaySettings } from "../../src/gateway/deps.ts";
import type { ApiKey } from "../../src/gateway/keys.ts";
import type { ModelCard, ReplicaPool } from "../../src/gateway/pool.ts";
import { listen, type RunningServer } from "../../src/gateway/server.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { type FakeBackend, type FakeBackendOptions, startFakeBackend } from "../support/fake-backend.ts";
import { StubPool } from "../support/stub-pool.ts";
import { until } from "../support/until.ts";

export const MODEL = "acme/chat-7b";
export const CHAT = "/v1/chat/completions";

const CARDS: readonly ModelCard[] = [
  { id: MODEL, aliases: ["chat"], status: "ready", createdAt: 1_760_000_000, maxModelLen: 8192 },
  { id: "acme/broken", aliases: [], status: "failed", createdAt: 1_760_000_000, reason: "out of GPU memory" },
];

export const SETTINGS: GatewaySettings = {
  maxBodyBytes: 8 * 1024 * 1024,
  maxHoldMs: 10_000,
  maxStreamHoldMs: 10_000,
  firstHeartbeatMs: 30,
  heartbeatMs: 30,
  progressMs: 30,
  connectTimeoutMs: 2_000,
  firstByteTimeoutMs: 10_000,
  idleTimeoutMs: 10_000,
  totalTimeoutMs: Infinity,
  upstreamIdleMs: 4_000,
};

/** A key that may do everything, unless said otherwise. */
export function apiKey(key: string, client: Partial<ApiKey> = {}): ApiKey {
  return { key, name: "key-1", weight: 1, priority: "normal", mayStart: true, ...client };
}

const NEVER = new AbortController().signal;

export type LogLine = Readonly<Record<string, unknown>>;

interface ChatInit {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly redirect?: "manual";
}

export interface Gateway {
  readonly url: URL;
  readonly server: RunningServer;
  readonly backend: FakeBackend;
  readonly pool: StubPool;
  /** A test of many requests may empty it. */
  readonly log: LogLine[];
  /** POSTs a chat completion. */
  chat(this: void, body?: object, init?: ChatInit): Promise<Response>;
  /** The value of a counter, 0 where it was never counted. */
  counter(this: void, name: string, labels: Readonly<Record<string, string>>): Promise<number>;
  /** Waits until so many requests have ended, and gives their log lines. */
  ended(this: void, count?: number): Promise<readonly LogLine[]>;
}

export interface GatewayOptions extends Partial<
  Pick<GatewayDeps, "keys" | "allowedHosts" | "draining" | "cutting" | "clock" | "admin">
> {
  readonly settings?: Partial<GatewaySettings>;
  readonly backend?: FakeBackendOptions;
  /** Where the pool's leases point; the fake backend alone unless given. */
  readonly addresses?: readonly URL[];
  /** The model's own limits. */
  readonly timeouts?: Timeouts;
  /** Instead of a stub, which is idle then. */
  readonly slots?: ReplicaPool;
  /** What every random number is; 0 unless given. */
  readonly chance?: number;
}

/** Ends with the test that started it, and fails that test where a lease was not released exactly once. */
export async function startGateway(options: GatewayOptions = {}): Promise<Gateway> {
  const backend = await startFakeBackend(options.backend);
  const pool = new StubPool(...(options.addresses ?? [backend.address]));
  const log: LogLine[] = [];
  const metrics = createMetrics();
  const clock = options.clock ?? systemClock;
  const logger = pino({ level: "debug" }, collect(log));
  const app = createApp({
    pool: options.slots ?? pool,
    directory: { list: () => CARDS, find: (name) => CARDS.find(({ id, aliases }) => [id, ...aliases].includes(name)) },
    resolve: (name) => {
      const card = CARDS.find(({ id, aliases }) => [id, ...aliases].includes(name));
      return card && { model: card.id, ...(options.timeouts && { timeouts: options.timeouts }) };
    },
    nearest: (name) => (name.startsWith("acme") ? MODEL : undefined),
    admin: options.admin ?? new Hono(),
    keys: options.keys ?? [],
    allowedHosts: options.allowedHosts,
    settings: { ...SETTINGS, ...options.settings },
    clock,
    random: { ...systemRandom, next: () => options.chance ?? 0 },
    metrics,
    logger,
    draining: options.draining ?? NEVER,
    cutting: options.cutting ?? NEVER,
  });
  const server = await listen(app, { host: "127.0.0.1", port: 0, logger, clock: systemClock });
  const ended = () => log.filter(({ msg }) => msg === "request ended");
  onTestFinished(async () => {
    await server.close(0);
    await backend.close();
    await until(() => pool.leases.every(({ releases }) => releases === 1), { what: "one release of each lease" });
  });
  return {
    url: server.url,
    server,
    backend,
    pool,
    log,
    chat: (body = {}, init = {}) =>
      fetch(new URL(CHAT, server.url), {
        method: "POST",
        body: JSON.stringify({ model: MODEL, messages: [], ...body }),
        ...init,
        headers: { "content-type": "application/json", ...init.headers },
      }),
    async counter(name, labels) {
      const metric = await metrics.registry.getSingleMetric(name)?.get();
      const matches = (candidate: object) =>
        Object.entries(labels).every(([key, value]) => Reflect.get(candidate, key) === value);
      return metric?.values.find((entry) => matches(entry.labels))?.value ?? 0;
    },
    ended: (count = 1) => until(() => ended().length >= count && ended(), { what: `${count} ended requests` }),
  };
}

function collect(log: LogLine[]): Writable {
  return new Writable({
    write(chunk: Buffer, _, done) {
      log.push(JSON.parse(chunk.toString("utf8")));
      done();
    },
  });
}
