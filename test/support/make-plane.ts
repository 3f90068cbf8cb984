// The real control plane over a FakeWorld on virtual time, and clients that use it as the data plane does.
import { Catalog } from "../../src/catalog/catalog.ts";
import type { Recipe } from "../../src/catalog/recipe.ts";
import {
  startControlPlane,
  type ControlPlane,
  type ControlPlaneDeps,
  type ControlPlaneSettings,
} from "../../src/control/plane.ts";
import type { EstimateStore } from "../../src/control/launcher/estimates.ts";
import type { Clock, Timer } from "../../src/lib/clock.ts";
import { orAborted } from "../../src/lib/or-aborted.ts";
import { EventLog } from "../../src/telemetry/events.ts";
import { silentLogger, type Logger } from "../../src/telemetry/logger.ts";
import { createMetrics, type Metrics } from "../../src/telemetry/metrics.ts";
import { FakeClock } from "./clock.ts";
import type { FakeDriver } from "./fake-driver.ts";
import { FakeWorld, type WorldOptions } from "./fake-world.ts";
import { TestRequest, type RequestOptions } from "./test-request.ts";

const SETTINGS: ControlPlaneSettings = {
  installation: "test",
  keepAliveMs: 60_000,
  defaultRuntime: "docker",
  maxHoldMs: 600_000,
  recoveryMs: 60_000,
  waiters: { maxPerModel: 1000, maxTotal: 10_000, maxBytes: 2 ** 30 },
  scheduling: {
    minResidencyMs: 60_000,
    maxWaitMs: 90_000,
    maxStarts: 8,
    abortsUnwanted: true,
    sleepMemoryBytes: 2 ** 40,
  },
  balance: "predicted-ttft",
  scaling: { upMs: 15_000, downMs: 300_000 },
  keepAliveMaxMs: Infinity,
  launch: {
    images: {},
    startTimeoutMs: 300_000,
    stopGraceMs: 30_000,
    shmBytes: 2 ** 30,
    pull: "missing",
    env: {},
    self: ["aim-engine"],
  },
  reconcileEveryMs: 10_000,
  progressMs: Infinity,
  keepOnExit: new Set(["docker"]),
};

export interface RigOptions extends WorldOptions {
  readonly recipes: readonly Recipe[];
  readonly settings?: Partial<ControlPlaneSettings>;
  readonly logger?: Logger;
  readonly metrics?: Metrics;
  readonly clock?: FakeClock;
  readonly diagnose?: ControlPlaneDeps["engines"]["diagnose"];
  /** What else engines say, where the defaults do not do. */
  readonly engines?: Partial<ControlPlaneDeps["engines"]>;
  readonly estimateStore?: EstimateStore;
  /** Where other threads borrow slots; nowhere when absent. */
  readonly lender?: ControlPlaneDeps["lender"];
  /** Another way to decide; the planner when absent. */
  readonly plan?: ControlPlaneDeps["plan"];
}

/** A gateway's control plane that can be killed and started again over the same world. */
export class Rig {
  readonly clock: FakeClock;
  readonly world: FakeWorld;
  readonly recipes: readonly Recipe[];
  readonly events: EventLog;
  /** Requests that are waiting or being served. */
  readonly connections = new Set<TestRequest>();
  readonly #options: RigOptions;
  #life = new AbortController();
  #process: ProcessClock;
  #driver: FakeDriver;
  plane: ControlPlane;

  constructor(options: RigOptions) {
    this.clock = options.clock ?? new FakeClock();
    this.world = new FakeWorld({ ...options, clock: this.clock });
    this.recipes = options.recipes;
    this.events = new EventLog(this.clock);
    this.#options = options;
    this.#process = new ProcessClock(this.clock);
    this.#driver = this.world.driver("test");
    this.plane = this.#start(this.recipes);
  }

  /** Aborts when the gateway process is killed: its clients see their connections break. */
  get life(): AbortSignal {
    return this.#life.signal;
  }

  /** `kill -9` of the gateway and a new one in its place; `fateOf` is asked about each container that was being made. */
  boot(
    recipes: readonly Recipe[] = this.recipes,
    fateOf: () => "nothing" | "created" | "running" = () => "nothing",
  ): ControlPlane {
    this.#process.kill();
    this.#driver.kill(fateOf);
    this.#life.abort(new Error("the gateway was killed"));
    for (const request of this.connections) request.disconnect();
    this.#life = new AbortController();
    this.#process = new ProcessClock(this.clock);
    this.#driver = this.world.driver("test");
    this.plane = this.#start(recipes);
    return this.plane;
  }

  #start(recipes: readonly Recipe[]): ControlPlane {
    const { world } = this;
    const { settings, logger = silentLogger, metrics = createMetrics() } = this.#options;
    const { diagnose = lastWords, engines, estimateStore, lender, plan } = this.#options;
    const clock = this.#process;
    const { life } = this;
    return startControlPlane({
      clock,
      catalog: new Catalog(recipes),
      drivers: new Map([["docker", this.#driver]]),
      events: this.events,
      metrics,
      logger,
      engines: {
        async awaitReady({ address }, signal) {
          await loaded({ world, address, clock, life }, signal);
          // What is sent to one that is just falling asleep hangs; nobody could have known.
          if (world.at(address)?.rest === "dozing") await orAborted(new Promise<never>(() => {}), signal);
          askForToken(world, address);
        },
        async isAsleep(address, signal) {
          await loaded({ world, address, clock, life }, signal);
          return world.sleep.isAsleep(address);
        },
        fallAsleep: (address, level, signal) => world.sleep.fallAsleep(address, level, clock, signal),
        wakeUp: (address, level, signal) => world.sleep.wakeUp(address, level, clock, signal),
        answers: async (address) => world.isLoaded(address),
        generates: async (address) => world.isLoaded(address) && askForToken(world, address),
        loadOf: async () => undefined,
        parseProgress: (line) => (line.startsWith("loading") ? { phase: "weights", text: line } : undefined),
        diagnose,
        ...engines,
      },
      ...(estimateStore === undefined ? {} : { estimateStore }),
      ...(lender === undefined ? {} : { lender }),
      ...(plan === undefined ? {} : { plan }),
      settings: { ...SETTINGS, ...settings },
    });
  }

  /** One request that is served for a while once it has its lease. */
  request(model: string, options: RequestOptions = {}): TestRequest {
    const { world, clock, plane, connections } = this;
    return new TestRequest({ world, clock, pool: plane.pool, connections }, model, options);
  }

  requests(model: string, count: number, options: RequestOptions = {}): readonly TestRequest[] {
    return Array.from({ length: count }, () => this.request(model, options));
  }

  states(): readonly string[] {
    return this.plane.fleet.replicas.all().map((replica) => `${replica.name} ${replica.state}`);
  }
}

/** Resolves when the engine behind the address is loaded; never for a gateway that was killed. */
function loaded(
  { world, address, clock, life }: { world: FakeWorld; address: URL; clock: Clock; life: AbortSignal },
  signal: AbortSignal,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let timer: Timer | undefined;
  const look = () => {
    timer?.cancel();
    const leftMs = world.loadsFor(address);
    if (leftMs > 0) return void (timer = clock.setTimer(leftMs, look));
    end();
    resolve();
  };
  const end = () => {
    timer?.cancel();
    unwatch();
    signal.removeEventListener("abort", onAbort);
    life.removeEventListener("abort", end);
  };
  const onAbort = () => {
    end();
    reject(signal.reason);
  };
  const unwatch = world.watch(look);
  signal.addEventListener("abort", onAbort, { once: true });
  life.addEventListener("abort", end, { once: true });
  if (signal.aborted) onAbort();
  else look();
  return promise;
}

/** True: it comes. */
function askForToken(world: FakeWorld, address: URL): boolean {
  const container = world.at(address);
  if (container !== undefined) world.sleep.noteRequest(container);
  return container?.rest === "awake";
}

function lastWords(lines: readonly string[]): { code: string; advice: string } {
  return { code: "crashed", advice: `it said: ${lines.at(-1) ?? "nothing"}` };
}

/** The clock of one process: its timers die with it. */
class ProcessClock implements Clock {
  readonly #clock: Clock;
  readonly #timers = new Set<Timer>();
  #isDead = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  wallNow(): number {
    return this.#clock.wallNow();
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    if (this.#isDead) return { cancel() {} };
    const timer = this.#clock.setTimer(delayMs, () => {
      this.#timers.delete(timer);
      callback();
    });
    this.#timers.add(timer);
    return {
      cancel: () => {
        this.#timers.delete(timer);
        timer.cancel();
      },
    };
  }

  kill(): void {
    this.#isDead = true;
    for (const timer of this.#timers) timer.cancel();
  }
}
