// One life of a gateway under random load and random misfortune, on virtual time. The seed decides everything: the same seed
// is the same story. After every step the invariants of the design are checked; at the end the misfortune stops and all has
// to come to rest.
import { pino } from "pino";
import { plan } from "../../src/control/planner.ts";
import { messageOf } from "../../src/errors.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { FakeClock } from "../support/clock.ts";
import { Rig } from "../support/make-plane.ts";
import { Audit } from "./audit.ts";
import { Clients } from "./clients.ts";
import { enginesOf } from "./engines.ts";
import { GpuMishaps } from "./gpu-mishaps.ts";
import { Invariants } from "./invariants.ts";
import { Mishaps } from "./mishaps.ts";
import { Operators } from "./operators.ts";
import { expectRest, isAtRest, type Leftovers } from "./rest.ts";
import { setScene, type Scenery } from "./scenery.ts";
import { Seeded } from "./seeded.ts";
import type { Deed, Setting } from "./setting.ts";
import { Story } from "./story.ts";

export interface SimulationOptions {
  readonly seed: number;
  readonly steps: number;
}

/** Resolves with the end of the story; rejects with it when an invariant is broken. */
export async function simulate(options: SimulationOptions): Promise<string> {
  const simulation = new Simulation(options);
  try {
    await simulation.run();
    return simulation.story.ending();
  } catch (error) {
    throw new Error(`seed ${options.seed}: ${messageOf(error)}\n${simulation.story.ending()}`, { cause: error });
  }
}

/** Longer than any pause after a failure, any start limit, any keep-alive and any wait. */
const CALM_MS = 900_000;
const CALM_STEP_MS = 30_000;
/** How often at least nobody may wait any more before it counts as rest. */
const CALM_STEPS = 4;
/** Of the steps, so many are nothing but time that passes. */
const PASSING = 5 / 6;
const PAUSES_MS = [1, 10, 50, 100, 300, 300, 1_000, 3_000];

/** They are never looked at, and making them takes longer than anything else at a start. */
const METRICS = createMetrics();

class Simulation {
  readonly story: Story;
  readonly #random: Seeded;
  readonly #steps: number;
  readonly #scenery: Scenery;
  readonly #rig: Rig;
  readonly #invariants: Invariants;
  readonly #clients: Clients;
  readonly #mishaps: Mishaps;
  readonly #gpuMishaps: GpuMishaps;
  readonly #operators: Operators;
  readonly #deeds: readonly Deed[];

  constructor({ seed, steps }: SimulationOptions) {
    this.#random = new Seeded(seed);
    this.#steps = steps;
    this.#scenery = setScene(this.#random);
    const errors: string[] = [];
    const clock = new FakeClock({ turns: 1 });
    this.story = new Story(clock);
    this.#rig = this.#build(clock, errors);
    this.#invariants = new Invariants(this.#rig, errors);
    const setting: Setting = {
      random: this.#random,
      rig: this.#rig,
      models: this.#scenery.recipes.map(({ model }) => model),
      tell: (line) => this.story.tell(line),
      blame: this.#invariants.blame,
    };
    this.#clients = new Clients(setting);
    this.#mishaps = new Mishaps(setting);
    this.#gpuMishaps = new GpuMishaps(setting);
    this.#operators = new Operators(setting);
    this.#deeds = this.#scenery.mood === "calm" ? this.#clients.deeds() : this.#allDeeds();
  }

  async run(): Promise<void> {
    for (let step = 0; step < this.#steps; step++) await this.#step();
    await this.#comeToRest();
  }

  /** A while passes, or something is done, and what it sets off at once is seen before anything else happens. */
  async #step(): Promise<void> {
    if (this.#random.next() < PASSING) return this.#pass(this.#random.one(PAUSES_MS));
    this.#random.weighted(this.#deeds)();
    await this.#pass(0);
  }

  #build(clock: FakeClock, errors: string[]): Rig {
    const { gpus, recipes, settings } = this.#scenery;
    const audit = new Audit((what) => this.#invariants.blame(what));
    const rig: Rig = new Rig({
      recipes,
      gpus,
      settings,
      clock,
      memory: true,
      metrics: METRICS,
      logger: pino({ level: "error" }, { write: (line: string) => void errors.push(line) }),
      engines: enginesOf(() => rig.world),
      plan: (snapshot, now) => audit.check(snapshot, plan(snapshot, now), now),
    });
    rig.world.pace.logMs = 60_000;
    rig.world.sleep.residualShare = this.#scenery.residualShare;
    rig.events.follow((event) => this.story.tell(`  ${event.type}: ${event.message}`));
    return rig;
  }

  #allDeeds(): readonly Deed[] {
    return [
      ...this.#clients.deeds(),
      ...this.#mishaps.deeds(),
      ...this.#gpuMishaps.deeds(),
      ...this.#operators.deeds(),
      [2, () => this.#kill()],
      [1, () => this.#restart()],
    ];
  }

  async #pass(ms: number): Promise<void> {
    await this.#rig.clock.advance(ms);
    this.#invariants.check();
  }

  /** An orderly end, of which only the beginning is waited for, and a new gateway with another recipe for one model. */
  #restart(): void {
    this.story.tell("the gateway is asked to stop, and one with a changed recipe takes its place");
    void this.#rig.plane.stop();
    const changed = this.#random.one(this.#rig.recipes);
    this.#kill(
      this.#rig.recipes.map((recipe) => (recipe.id === changed.id ? { ...recipe, hash: `${recipe.hash}'` } : recipe)),
    );
  }

  #kill(recipes = this.#rig.recipes): void {
    this.story.tell("kill -9, and a new gateway");
    this.#gpuMishaps.reveal();
    this.#rig.boot(recipes, () => this.#random.one(["nothing", "created", "running"] as const));
    this.#invariants.rebooted();
  }

  async #comeToRest(): Promise<void> {
    this.story.tell("no more misfortune");
    this.#mishaps.end();
    this.#gpuMishaps.end();
    let calmFor = 0;
    for (let passed = 0; passed < CALM_MS && calmFor < CALM_STEPS; passed += CALM_STEP_MS) {
      await this.#pass(CALM_STEP_MS);
      calmFor = isAtRest(this.#rig, this.#leftovers) ? calmFor + 1 : 0;
    }
    await expectRest(this.#rig, this.#leftovers);
  }

  get #leftovers(): Leftovers {
    return {
      recipes: this.#scenery.recipes,
      clients: [...this.#clients.open].map(({ model, doing }) => `${model} ${doing}`),
      orders: this.#operators.open,
    };
  }
}
