// One life of a gateway under random load and random misfortune, on virtual time. The seed decides everything: the same seed
// is the same story. After every step the invariants of the design are checked; at the end the misfortune stops and all has
// to come to rest.
import { pino } from "pino";
import { LABELS } from "../../src/catalog/launch-spec.ts";
import type { Recipe } from "../../src/catalog/recipe.ts";
import { messageOf } from "../../src/errors.ts";
import { FakeClock } from "../support/clock.ts";
import { Rig } from "../support/make-plane.ts";
import type { TestRequest } from "../support/test-request.ts";
import { makeGpus, makeRecipe } from "../support/make.ts";
import { Invariants } from "./invariants.ts";
import { Mishaps, type Deed } from "./mishaps.ts";
import { Operators } from "./operators.ts";
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
  readonly #broken: string[] = [];
  readonly #mishaps: Mishaps;
  readonly #operators: Operators;
  #recipes: readonly Recipe[] = RECIPES;

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
      settings: { waiters: { maxPerModel: 30, maxTotal: 100, maxBytes: 2 ** 30 } },
    });
    Object.assign(this.#rig.world.pace, { logMs: 60_000 });
    this.#rig.events.follow((event) => this.#tell(`  ${event.type}: ${event.message}`));
    this.#invariants = new Invariants(this.#rig, errors);
    const tell = (line: string) => this.#tell(line);
    const setting = { random: this.#random, rig: this.#rig, tell };
    this.#mishaps = new Mishaps({ ...setting, clients: () => [...this.#clients.keys()] });
    this.#operators = new Operators({ ...setting, models: MODELS, onBroken: (what) => void this.#broken.push(what) });
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
    if (this.#broken.length > 0) throw new Error(this.#broken.join("; "));
  }

  #act(): void {
    const deeds: readonly Deed[] = [
      [30, () => this.#ask()],
      [10, () => this.#leave()],
      ...this.#mishaps.deeds(),
      ...this.#operators.deeds(),
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
    this.#mishaps.reveal();
    this.#rig.boot(this.#recipes, () => this.#random.one(["nothing", "created", "running"] as const));
    this.#invariants.rebooted();
  }

  async #comeToRest(): Promise<void> {
    const { world, clock, plane } = this.#rig;
    this.#tell("no more misfortune");
    this.#mishaps.end();
    for (let passed = 0; passed < CALM_MS; passed += 30_000) await this.#pass(30_000);
    this.#expect(
      "clients that still wait",
      [...this.#clients.keys()].map((client) => `${client.model} ${client.outcome}`),
      [],
    );
    this.#expect("orders that never ended", this.#operators.open, 0);
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
