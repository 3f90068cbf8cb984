// The real control plane over a FakeWorld on virtual time, and clients that use it as the data plane does.
import { Catalog } from "../../src/catalog/catalog.ts";
import type { Recipe } from "../../src/catalog/recipe.ts";
import { startControlPlane, type ControlPlane, type ControlPlaneSettings } from "../../src/control/plane.ts";
import type { ReplicaLease } from "../../src/control/lease.ts";
import { sleep } from "../../src/lib/clock.ts";
import { EventLog } from "../../src/telemetry/events.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { FakeClock } from "./clock.ts";
import { FakeWorld, type WorldOptions } from "./fake-world.ts";

const SETTINGS: ControlPlaneSettings = {
  installation: "test",
  keepAliveMs: 60_000,
  defaultRuntime: "docker",
  maxHoldMs: 600_000,
  waiters: { maxPerModel: 1000, maxBytes: 2 ** 30 },
  launch: {
    images: {},
    startTimeoutMs: 300_000,
    stopGraceMs: 30_000,
    shmBytes: 2 ** 30,
    self: ["aim-engine"],
  },
  reconcileEveryMs: 10_000,
  keepOnExit: new Set(["docker"]),
};

/** A gateway's control plane that can be killed and started again over the same world. */
export class Rig {
  readonly clock: FakeClock;
  readonly world: FakeWorld;
  readonly recipes: readonly Recipe[];
  readonly events: EventLog;
  readonly #settings: ControlPlaneSettings;
  plane: ControlPlane;

  constructor(options: WorldOptions & { recipes: readonly Recipe[]; settings?: Partial<ControlPlaneSettings> }) {
    const { recipes, settings, ...world } = options;
    this.clock = new FakeClock();
    this.world = new FakeWorld({ ...world, clock: this.clock });
    this.recipes = recipes;
    this.events = new EventLog(this.clock);
    this.#settings = { ...SETTINGS, ...settings };
    this.plane = this.boot();
  }

  /** Starts a control plane; the one before is simply no longer used, as after a kill -9. */
  boot(recipes: readonly Recipe[] = this.recipes): ControlPlane {
    const { clock, world } = this;
    this.plane = startControlPlane({
      clock,
      catalog: new Catalog(recipes),
      drivers: new Map([["docker", world.driver("test")]]),
      events: this.events,
      metrics: createMetrics(),
      logger: silentLogger,
      engines: {
        async awaitReady(address, _readiness, signal) {
          while (!world.isLoaded(address)) await sleep(clock, 100, signal);
        },
        answers: async (address) => world.isLoaded(address),
        parseProgress: (line) => (line.startsWith("loading") ? { text: line } : undefined),
        diagnose: (lines) => ({ code: "crashed", advice: `it said: ${lines.at(-1) ?? "nothing"}` }),
      },
      settings: this.#settings,
    });
    return this.plane;
  }

  /** One request that is served for `serveMs` once it has its lease. */
  request(model: string, options: { serveMs?: number; signal?: AbortSignal } = {}): TestRequest {
    return new TestRequest(this, model, options.serveMs ?? 1_000, options.signal ?? new AbortController().signal);
  }

  requests(model: string, count: number, options: { serveMs?: number } = {}): readonly TestRequest[] {
    return Array.from({ length: count }, () => this.request(model, options));
  }

  states(): readonly string[] {
    return this.plane.fleet.replicas.all().map((replica) => `${replica.name} ${replica.state}`);
  }
}

export class TestRequest {
  outcome: "waiting" | "served" | "serving" | "refused" = "waiting";
  error: unknown;
  replica: string | undefined;
  lease: ReplicaLease | undefined;

  constructor(rig: Rig, model: string, serveMs: number, signal: AbortSignal) {
    void this.#run(rig, model, serveMs, signal);
  }

  async #run(rig: Rig, model: string, serveMs: number, signal: AbortSignal): Promise<void> {
    const { serving } = rig.world;
    try {
      const lease = await rig.plane.pool.acquire(model, { bodyBytes: 100 }, signal);
      this.lease = lease;
      this.replica = lease.replica;
      this.outcome = "serving";
      serving.set(lease.replica, (serving.get(lease.replica) ?? 0) + 1);
      await sleep(rig.clock, serveMs);
      serving.set(lease.replica, (serving.get(lease.replica) ?? 0) - 1);
      lease.release();
      this.outcome = "served";
    } catch (error) {
      this.error = error;
      this.outcome = "refused";
    }
  }
}
