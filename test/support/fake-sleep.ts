// How the engines of a FakeWorld sleep and wake, and what must never be done to a sleeper.
import { sleep, type Clock } from "../../src/lib/clock.ts";
import { shareOf } from "./fake-memory.ts";
import type { FakeContainer, FakeWorld } from "./fake-world.ts";

export type Rest = "awake" | "dozing" | "asleep" | "waking";

export class FakeSleep {
  readonly #world: FakeWorld;
  /** Change it at any time. */
  readonly pace = { sleepMs: 500, wakeMs: 300 };
  /** Share of a GPU's memory that a sleeper keeps. */
  residualShare = 0.05;
  /** Replicas that say that they sleep, and keep all of their memory. */
  readonly greedy = new Set<string>();
  /** Taken from the front by each call to fall asleep; the engine stays awake. */
  readonly sleepFaults: Error[] = [];
  /** Taken from the front by each call to wake; the engine sleeps on. */
  readonly wakeFaults: Error[] = [];
  /** "a-1 asleep at level 1", "a-1 awake as from level 1", in the order in which it came about. */
  readonly log: string[] = [];

  constructor(world: FakeWorld) {
    this.#world = world;
  }

  isAsleep(address: URL): boolean {
    const rest = this.#at(address).rest;
    return rest === "asleep" || rest === "waking";
  }

  /** As `POST /sleep`: what was begun comes to its end, whether or not the caller waits for it. */
  async fallAsleep(address: URL, level: 1 | 2, clock: Clock, signal: AbortSignal): Promise<void> {
    const container = this.#at(address);
    const { replica } = container.spec;
    if (container.requests.size > 0) this.#violated(`${replica} was put to sleep while it served`);
    const fault = this.sleepFaults.shift();
    if (fault !== undefined) throw fault;
    container.rest = "dozing";
    await this.#change(container, { ms: this.pace.sleepMs, to: "asleep" }, clock, signal);
    this.log.push(`${replica} asleep at level ${level}`);
  }

  /** As the calls that wake it from this level. */
  async wakeUp(address: URL, level: 1 | 2, clock: Clock, signal: AbortSignal): Promise<void> {
    const container = this.#at(address);
    const fault = this.wakeFaults.shift();
    if (fault !== undefined) throw fault;
    if (container.rest === "awake") return;
    container.rest = "waking";
    this.#world.memory.noteDoubleUse(container.spec, container);
    await this.#change(container, { ms: this.pace.wakeMs, to: "awake" }, clock, signal);
    this.log.push(`${container.spec.replica} awake as from level ${level}`);
  }

  /** A request, or a question for a token: at a sleeper it would hang for ever. */
  noteRequest(container: FakeContainer): void {
    const { rest, spec } = container;
    if (rest !== "awake") this.#violated(`a request reached ${spec.replica}, which was ${rest}`);
  }

  /** How much of a GPU's memory it has in use. */
  memoryShare({ rest, spec }: FakeContainer): number {
    const isFull = rest !== "asleep" || this.greedy.has(spec.replica);
    return isFull ? 0.9 * shareOf(spec) : this.residualShare;
  }

  async #change(
    container: FakeContainer,
    { ms, to }: { readonly ms: number; readonly to: Rest },
    clock: Clock,
    signal: AbortSignal,
  ): Promise<void> {
    const world = this.#world;
    const { address } = container;
    world.clock.setTimer(ms, () => {
      container.rest = to;
      if (to === "asleep") container.asleepSince = world.clock.now();
      world.hint();
    });
    await sleep(clock, ms, signal);
    if (world.at(address) !== container) throw new Error("socket hang up");
  }

  #at(address: URL): FakeContainer {
    const container = this.#world.at(address);
    if (container === undefined || !this.#world.isLoaded(address)) throw new Error("ECONNREFUSED");
    return container;
  }

  #violated(what: string): void {
    this.#world.violations.push(what);
  }
}
