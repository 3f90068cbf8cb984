// One life of a gateway under random load and random misfortune, on virtual time. The seed decides everything: the same seed
// is the same story. After every step the invariants of the design are checked; at the end the misfortune stops and all has
// to come to rest.
import { pino } from "pino";
import { LABELS } from "../../src/catalog/launch-spec.ts";
import type { Recipe } from "../../src/catalog/recipe.ts";
import { AimError, messageOf } from "../../src/errors.ts";
import { FakeClock } from "../support/clock.ts";
import type { FakeContainer } from "../support/fake-world.ts";
import { Rig, type TestRequest } from "../support/make-plane.ts";
import { makeGpus, makeRecipe } from "../support/make.ts";
import { Invariants } from "./invariants.ts";
import { Seeded } from "./seeded.ts";

const RECIPES = [
  makeRecipe({ id: "whale", gpus: 4 }),
  makeRecipe({ id: "shark", gpus: 2, keepAliveMs: 20_000 }),
  makeRecipe({ id: "tuna", gpus: 2, maxInFlight: 2 }),
  makeRecipe({ id: "eel", gpus: 1, keepAliveMs: 5_000 }),
  makeRecipe({ id: "crab", maxInFlight: 1 }),
  makeRecipe({ id: "coral", gpus: 1, replicas: { min: 1, max: 2 } }),
];
const MODELS = RECIPES.map((recipe) => recipe.model);
const OUTAGE = new AimError("runtime_unavailable", "cannot reach Docker");
/** Longer than any pause after a failure, any start limit and any keep-alive. */
const CALM_MS = 900_000;

export interface SimulationOptions {
  readonly seed: number;
  readonly steps: number;
}

/** Resolves with the end of the story; rejects with it when an invariant is broken. */
export async function simulate(options: SimulationOptions): Promise<string> {
  const simulation = new Simulation(options);
  try {
    await simulation.run();
    return simulation.story();
  } catch (error) {
    throw new Error(`seed ${options.seed}: ${messageOf(error)}\n${simulation.story()}`, { cause: error });
  }
}

class Simulation {
  readonly #random: Seeded;
  readonly #steps: number;
  readonly #rig: Rig;
  readonly #invariants: Invariants;
  readonly #lines: string[] = [];
  readonly #clients = new Map<TestRequest, AbortController>();
  #recipes: readonly Recipe[] = RECIPES;
  #openOrders = 0;

  constructor({ seed, steps }: SimulationOptions) {
    this.#random = new Seeded(seed);
    this.#steps = steps;
    const errors: string[] = [];
    this.#rig = new Rig({
      recipes: RECIPES,
      gpus: makeGpus(this.#random.upTo(4) + 4),
      memory: true,
      clock: new FakeClock({ turns: 1 }),
      logger: pino({ level: "error" }, { write: (line: string) => void errors.push(line) }),
      probeMs: 250,
      settings: { waiters: { maxPerModel: 30, maxBytes: 2 ** 30 } },
    });
    Object.assign(this.#rig.world.pace, { logMs: 60_000 });
    this.#rig.events.follow((event) => this.#tell(`  ${event.type}: ${event.message}`));
    this.#invariants = new Invariants(this.#rig, errors);
  }

  async run(): Promise<void> {
    for (let step = 0; step < this.#steps; step++) {
      this.#act();
      await this.#pass(this.#random.one([0, 1, 50, 300, 1_000, 1_000, 4_000, 15_000]));
    }
    await this.#comeToRest();
  }

  story(): string {
    return this.#lines.slice(-80).join("\n");
  }

  #tell(line: string): void {
    this.#lines.push(`${(this.#rig.clock.now() / 1000).toFixed(3).padStart(9)} ${line}`);
  }

  async #pass(ms: number): Promise<void> {
    await this.#rig.clock.advance(ms);
    for (const client of this.#clients.keys()) {
      if (!["waiting", "serving"].includes(client.outcome)) this.#clients.delete(client);
    }
    this.#invariants.check([...this.#clients.keys()]);
  }

  #act(): void {
    const deeds: readonly (readonly [weight: number, deed: () => void])[] = [
      [30, () => this.#ask()],
      [10, () => this.#leave()],
      [4, () => this.#changePace()],
      [4, () => this.#crash()],
      [3, () => this.#removeByHand()],
      [3, () => this.#freeze()],
      [4, () => this.#thaw()],
      [3, () => this.#hang()],
      [3, () => this.#failNext()],
      [2, () => this.#cutOff()],
      [4, () => this.#reconnect()],
      [4, () => this.#launch()],
      [4, () => this.#stop()],
      [2, () => this.#kill()],
      [1, () => this.#restart()],
    ];
    this.#random.weighted(deeds)();
  }

  #ask(): void {
    const model = this.#random.one(MODELS);
    const count = this.#random.one([1, 1, 2, 3, 20]);
    const serveMs = this.#random.one([0, 10, 500, 3_000, 20_000]);
    this.#tell(`${count} requests for ${model}, each served in ${serveMs} ms`);
    for (let one = 0; one < count; one++) {
      const leaving = new AbortController();
      this.#clients.set(this.#rig.request(model, { serveMs, signal: leaving.signal }), leaving);
    }
  }

  #leave(): void {
    const [client, leaving] = this.#random.maybe([...this.#clients]) ?? [];
    if (client === undefined) return;
    this.#tell(`a client of ${client.model} leaves while ${client.outcome}`);
    leaving?.abort(new Error("client left"));
  }

  #changePace(): void {
    const { pace } = this.#rig.world;
    pace.createMs = this.#random.one([0, 10, 100, 2_000]);
    pace.loadMs = this.#random.one([0, 100, 1_000, 20_000, 400_000]);
    pace.stopMs = this.#random.one([0, 100, 5_000]);
    pace.releaseMs = this.#random.one([0, 0, 500, 3_000, 30_000, 150_000]);
    const { createMs, loadMs, stopMs, releaseMs } = pace;
    this.#tell(`pace: create ${createMs}, load ${loadMs}, stop ${stopMs}, memory back ${releaseMs} ms`);
  }

  #crash(): void {
    this.#withContainer("the engine ends of", (container) =>
      this.#rig.world.exit(container.spec.replica, { code: 1, outOfMemory: false }),
    );
  }

  #removeByHand(): void {
    this.#withContainer("somebody removes", (container) => this.#rig.world.remove(container.spec.replica));
  }

  #freeze(): void {
    this.#withContainer("somebody pauses", (container) => {
      if (container.state === "running") this.#rig.world.set(container.spec.replica, "unresponsive");
    });
  }

  #thaw(): void {
    this.#withContainer("somebody unpauses", (container) => {
      if (container.state === "unresponsive") this.#rig.world.set(container.spec.replica, "running");
    });
  }

  /** Its server answers nobody for a while, and a client notices. */
  #hang(): void {
    this.#withContainer("nobody reaches", (container) => {
      Object.assign(container, { loadedAt: this.#rig.clock.now() + this.#random.one([5_000, 50_000, 200_000]) });
      const error = new Error("ECONNREFUSED");
      const clients = [...this.#clients.keys()].filter(({ replica }) => replica === container.spec.replica);
      for (const { lease } of clients.slice(0, 2)) lease?.report({ kind: "unreachable", error });
    });
  }

  #withContainer(what: string, deed: (container: FakeContainer) => void): void {
    const container = this.#random.maybe([...this.#rig.world.containers.values()]);
    if (container === undefined) return;
    this.#tell(`${what} ${container.spec.replica} (${container.ref.id}, ${container.state})`);
    deed(container);
  }

  #failNext(): void {
    const { startFaults, stopFaults } = this.#rig.world;
    const [faults, what] = this.#random.one([
      [startFaults, "start"],
      [stopFaults, "stop"],
    ] as const);
    this.#tell(`the next ${what} will fail`);
    faults.push(new AimError("runtime_failed", `no ${what} today`));
  }

  #cutOff(): void {
    this.#tell("the runtime is away");
    this.#rig.world.outage = OUTAGE;
  }

  #reconnect(): void {
    if (this.#rig.world.outage !== undefined) this.#tell("the runtime is back");
    this.#rig.world.outage = undefined;
    this.#rig.world.hint();
  }

  #launch(): void {
    const model = this.#random.one(MODELS);
    this.#tell(`an operator launches ${model}`);
    const { operator } = this.#rig.plane;
    const patience = this.#random.one([new AbortController().signal, timeout(this.#rig.clock, 2_000)]);
    this.#supervise(operator.launch({ model, keepAliveMs: 30_000 }, AbortSignal.any([patience, this.#rig.life])));
  }

  #stop(): void {
    const replica = this.#random.maybe(this.#rig.plane.fleet.replicas.all());
    if (replica === undefined) return;
    const force = this.#random.upTo(3) === 0;
    this.#tell(
      `an operator stops ${replica.name} (${replica.state}, ${replica.inFlight} in flight)${force ? " by force" : ""}`,
    );
    if (force && replica.inFlight > 0) this.#rig.world.condemned.add(replica.name);
    this.#supervise(this.#rig.plane.operator.stop(replica.name, { force }, this.#rig.life));
  }

  /** An orderly end, of which only the beginning is waited for, and a new gateway with another recipe for one model. */
  #restart(): void {
    this.#tell("the gateway is asked to stop, and one with a changed recipe takes its place");
    void this.#rig.plane.stop();
    this.#recipes = this.#recipes.map((recipe) => ({
      ...recipe,
      ...(recipe.id === "eel" ? { hash: `${recipe.hash}'` } : {}),
    }));
    this.#kill();
  }

  #kill(): void {
    this.#tell("kill -9, and a new gateway");
    this.#rig.boot(this.#recipes, () => this.#random.one(["nothing", "created", "running"] as const));
    this.#invariants.rebooted();
  }

  /** What operators ask for ends, one way or the other; a killed gateway's operators are told by their connection. */
  #supervise(work: Promise<unknown>): void {
    const { life } = this.#rig;
    this.#openOrders += 1;
    const ended = () => {
      if (!life.aborted) this.#openOrders -= 1;
    };
    life.addEventListener("abort", () => (this.#openOrders = 0), { once: true });
    work.then(ended, ended);
  }

  async #comeToRest(): Promise<void> {
    const { world, clock, plane } = this.#rig;
    this.#tell("no more misfortune");
    world.outage = undefined;
    world.startFaults.length = 0;
    world.stopFaults.length = 0;
    Object.assign(world.pace, { createMs: 100, loadMs: 1_000, stopMs: 200, releaseMs: 0 });
    for (const name of world.containers.keys())
      if (world.containers.get(name)?.state === "unresponsive") world.set(name, "running");
    for (let passed = 0; passed < CALM_MS; passed += 30_000) await this.#pass(30_000);
    this.#expect(
      "clients that still wait",
      [...this.#clients.keys()].map((client) => `${client.model} ${client.outcome}`),
      [],
    );
    this.#expect("orders that never ended", this.#openOrders, 0);
    this.#expect(
      "what still runs",
      [...world.containers.values()].map(({ spec, state }) => `${spec.labels[LABELS.model]} ${state}`),
      ["coral running"],
    );
    let isStopped = false;
    void plane.stop().then(() => (isStopped = true));
    await clock.advance(60_000);
    this.#expect("whether the gateway stopped", isStopped, true);
    this.#expect("timers that are left", clock.pending, 0);
  }

  #expect(what: string, actual: unknown, expected: unknown): void {
    const [found, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
    if (found !== wanted) throw new Error(`${what}: ${found} instead of ${wanted}`);
  }
}

function timeout(clock: FakeClock, afterMs: number): AbortSignal {
  const controller = new AbortController();
  clock.setTimer(afterMs, () => controller.abort(new Error("the operator has left")));
  return controller.signal;
}
